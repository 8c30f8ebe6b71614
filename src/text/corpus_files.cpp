#include "text/corpus_files.h"

#include <algorithm>

#include "text/unicode.h"

namespace belay::text {

using base::Result;
using base::Status;

namespace {

constexpr int kMaxDepth = 32;

Status add_files(base::Env& env, const std::string& path, int depth,
                 std::vector<CorpusFile>& files) {
  if (!env.is_directory(path)) {
    BELAY_ASSIGN_OR_RETURN(const std::uint64_t bytes, env.file_size(path));
    if (bytes > 0 || depth == 0) files.push_back({path, bytes});
    return {};
  }
  if (depth > kMaxDepth) {
    return base::resource_exhausted({.where = path,
                                     .what = "is nested too deeply",
                                     .allowed = std::to_string(kMaxDepth) + " folders"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(path));
  for (const std::string& name : names) {
    if (name.starts_with('.')) continue;
    BELAY_RETURN_IF_ERROR(add_files(env, base::join_path(path, name), depth + 1, files));
  }
  return {};
}

}  // namespace

Result<std::vector<CorpusFile>> find_corpus_files(base::Env& env,
                                                  const std::vector<std::string>& paths) {
  std::vector<CorpusFile> files;
  for (const std::string& path : paths) BELAY_RETURN_IF_ERROR(add_files(env, path, 0, files));
  if (files.empty()) {
    return base::not_found(
        {.where = paths.empty() ? "the corpus" : paths[0], .what = "holds no file with text"});
  }
  return files;
}

Result<base::MappedFile> map_text(base::Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(base::MappedFile file, env.map_file(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  if (text.empty()) return base::corrupt({.where = path, .what = "is empty"});
  if (const std::size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    const std::size_t shown = std::min<std::size_t>(text.size() - valid, 4);
    return base::corrupt({.where = path,
                          .what = "is not UTF-8 at byte " + std::to_string(valid),
                          .seen = base::printable(text.substr(valid, shown)),
                          .next = "convert it (iconv -f latin1 -t utf8) or leave it out"});
  }
  return file;
}

}  // namespace belay::text
