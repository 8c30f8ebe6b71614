#include "data/sources.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "data/dataset_manifest.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

constexpr std::size_t kSniffBytes = 4096;
constexpr int kDeepest = 32;  // folders in folders; a loop of links ends here

/// Counts what is read of a file.
class Counting final : public base::ReadableFile {
 public:
  Counting(std::unique_ptr<base::ReadableFile> file, std::uint64_t& count)
      : file_(std::move(file)), count_(count) {}
  Result<std::size_t> read(std::span<std::byte> out) override {
    BELAY_ASSIGN_OR_RETURN(const std::size_t n, file_->read(out));
    count_ += n;
    return n;
  }

 private:
  std::unique_ptr<base::ReadableFile> file_;
  std::uint64_t& count_;
};

Result<std::unique_ptr<base::ReadableFile>> open_unpacked(base::Env& env, const std::string& path,
                                                          std::uint64_t& count) {
  BELAY_ASSIGN_OR_RETURN(std::unique_ptr<base::ReadableFile> file, env.open_file(path));
  return base::unpack(std::make_unique<Counting>(std::move(file), count),
                      base::compression_of(path), path);
}

/// The first bytes of what the file unpacks to.
Result<std::string> sniff(base::Env& env, const std::string& path) {
  std::uint64_t ignored = 0;
  BELAY_ASSIGN_OR_RETURN(auto file, open_unpacked(env, path, ignored));
  std::string text(kSniffBytes, '\0');
  std::size_t had = 0;
  while (had < text.size()) {
    BELAY_ASSIGN_OR_RETURN(const std::size_t n,
                           file->read(std::as_writable_bytes(std::span(text)).subspan(had)));
    if (n == 0) break;
    had += n;
  }
  text.resize(had);
  return text;
}

Status parquet(const std::string& path) {
  return base::unsupported(
      {.where = path,
       .what = "is Parquet, which Belay does not read",
       .allowed = "text, JSON lines, and both as .gz, .xz or .zst",
       .next = fmt::format("write it as JSON lines, with DuckDB: COPY (SELECT text FROM '{}') TO "
                           "'text.jsonl'",
                           base::base_name(path))});
}

/// What keeps a file from being read as text, or "".
std::string why_not_text(std::string_view begin) {
  if (begin.empty()) return "is empty";
  if (begin.starts_with("\xFF\xFE") || begin.starts_with("\xFE\xFF")) return "is UTF-16, not UTF-8";
  if (begin.find('\0') != std::string_view::npos) return "is binary, not text";
  return "";
}

class Finder {
 public:
  explicit Finder(base::Env& env) : env_(env) {}

  Status add(const std::string& path, bool named, int depth) {
    if (env_.is_directory(path)) return add_folder(path, named, depth);
    BELAY_ASSIGN_OR_RETURN(const std::uint64_t bytes, env_.file_size(path));
    if (base::unpacked_name(path).ends_with(".parquet")) return parquet(path);
    BELAY_ASSIGN_OR_RETURN(const std::string begin, sniff(env_, path));
    if (begin.starts_with("PAR1")) return parquet(path);
    const std::string fault = why_not_text(begin);
    if (fault.empty()) {
      list.files.push_back({path, form_of(path), bytes});
      return {};
    }
    if (!named) {
      list.skipped.push_back(path + ": " + fault);
      return {};
    }
    return base::corrupt({.where = path,
                          .what = fault,
                          .allowed = "UTF-8 text, JSON lines, and both as .gz, .xz or .zst",
                          .next = fault == "is empty" ? "" : "convert it to UTF-8 text"});
  }

  SourceList list;

 private:
  Status add_folder(const std::string& folder, bool named, int depth) {
    if (depth > kDeepest) {
      return base::unsupported({.where = folder,
                                .what = "lies too deep: do its links lead round in a circle?",
                                .allowed = fmt::format("at most {} folders", kDeepest)});
    }
    if (env_.exists(base::join_path(folder, kManifestName))) {
      if (!named) return {};
      return base::invalid_argument({.where = folder,
                                     .what = "is a prepared dataset, not text",
                                     .next = "name the files that it was made of"});
    }
    const std::size_t before = list.files.size();
    BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env_.list_dir(folder));
    for (const std::string& name : names) {
      if (name.starts_with('.')) continue;
      BELAY_RETURN_IF_ERROR(add(base::join_path(folder, name), false, depth + 1));
    }
    if (!named || list.files.size() > before) return {};
    return base::not_found({.where = folder, .what = "holds no text files"});
  }

  base::Env& env_;
};

}  // namespace

Form form_of(std::string_view path) {
  std::string name(base::unpacked_name(path));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* ending : {".jsonl", ".ndjson", ".json"}) {
    if (name.ends_with(ending)) return Form::kJsonLines;
  }
  return Form::kText;
}

Result<SourceList> find_sources(base::Env& env, const std::vector<std::string>& paths) {
  Finder finder(env);
  for (const std::string& path : paths) {
    if (!env.exists(path)) {
      return base::not_found({.where = path, .what = "does not exist"});
    }
    BELAY_RETURN_IF_ERROR(finder.add(path, true, 0));
  }
  return std::move(finder.list);
}

SourceReader::SourceReader(base::Env& env, const std::vector<SourceFile>& files,
                           std::vector<bool> wanted)
    : env_(env), files_(files), wanted_(std::move(wanted)) {}
SourceReader::~SourceReader() = default;

Result<std::optional<SourcedRecord>> SourceReader::next() {
  for (; source_ < files_.size(); ++source_, place_ = 0) {
    if (!wanted_.empty() && !wanted_[source_]) continue;
    if (!reader_) {
      const auto& [path, form, bytes] = files_[source_];
      BELAY_ASSIGN_OR_RETURN(auto file, open_unpacked(env_, path, bytes_read_));
      reader_.emplace(std::move(file), form, path);
    }
    BELAY_ASSIGN_OR_RETURN(std::optional<Record> record, reader_->next());
    if (record) return std::optional(SourcedRecord{std::move(*record), source_, place_++});
    reader_.reset();
  }
  return std::optional<SourcedRecord>();
}

}  // namespace belay::data
