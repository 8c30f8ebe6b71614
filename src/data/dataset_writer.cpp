#include "data/dataset_writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "base/hash.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "tokenizer_config.json"};
constexpr std::uint64_t kMostTokenizerBytes = std::uint64_t{1} << 30;

bool is_shard(std::string_view name) { return name.ends_with(".shard"); }

bool is_of_dataset(std::string_view name) {
  return is_shard(name) || base::is_temporary_name(name) || name == kManifestName ||
         std::find(std::begin(kTokenizerFiles), std::end(kTokenizerFiles), name) !=
             std::end(kTokenizerFiles);
}

/// The tokenizer's files in the folder.
Result<std::vector<DatasetManifest::File>> tokenizer_files(base::Env& env,
                                                           const std::string& folder) {
  std::vector<DatasetManifest::File> files;
  for (const char* name : kTokenizerFiles) {
    const std::string path = base::join_path(folder, name);
    if (!env.exists(path)) continue;
    BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMostTokenizerBytes));
    files.push_back({name, text.size(), base::xxh3_64(std::as_bytes(std::span(text)))});
  }
  return files;
}

}  // namespace

DatasetWriter::DatasetWriter(base::Env& env, std::string folder, const text::Tokenizer& tokenizer,
                             std::int64_t shard_tokens)
    : env_(env),
      folder_(std::move(folder)),
      tokenizer_(tokenizer),
      shard_tokens_(shard_tokens),
      writers_{store::ShardWriter(tokenizer.vocab_size(), tokenizer.fingerprint()),
               store::ShardWriter(tokenizer.vocab_size(), tokenizer.fingerprint())} {}

DatasetWriter::~DatasetWriter() {
  if (finished_) return;
  for (const std::string& name : written_) {
    if (!kept_.contains(name)) (void)env_.remove_file(base::join_path(folder_, name));
  }
}

Status DatasetWriter::begin() {
  if (env_.exists(folder_) && !env_.is_directory(folder_)) {
    return base::invalid_argument(
        {.where = folder_, .what = "is a file", .next = "name a folder with --out"});
  }
  if (!env_.exists(folder_)) return {};
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env_.list_dir(folder_));
  for (const std::string& name : names) {
    if (is_shard(name)) kept_.insert(name);
    if (is_of_dataset(name)) continue;
    return base::invalid_argument({.where = folder_,
                                   .what = "holds files that belong to no dataset",
                                   .seen = base::printable(name),
                                   .next = "name an empty or a new folder with --out"});
  }
  return {};
}

Status DatasetWriter::add(Split split, std::span<const std::int32_t> ids,
                          const store::ShardDocument& document) {
  store::ShardWriter& writer = writers_[static_cast<std::size_t>(split)];
  writer.add(ids, document);
  DatasetManifest::Part& part = manifest_.part(split);
  part.documents += 1;
  part.tokens += static_cast<std::int64_t>(ids.size());
  part.text_bytes += static_cast<std::int64_t>(document.text_bytes);
  return writer.n_tokens() >= shard_tokens_ ? write_shard(split) : Status();
}

Status DatasetWriter::write_shard(Split split) {
  BELAY_RETURN_IF_ERROR(env_.create_dirs(folder_));
  std::vector<DatasetManifest::File>& shards = manifest_.part(split).shards;
  const std::string prefix = fmt::format("{}-{:05}", split_name(split), shards.size());
  BELAY_ASSIGN_OR_RETURN(const store::ShardWriter::Written written,
                         writers_[static_cast<std::size_t>(split)].write(env_, folder_, prefix));
  written_.insert(written.file);
  shards.push_back({written.file, written.bytes, written.xxh3});
  return {};
}

Result<DatasetManifest> DatasetWriter::finish(DatasetManifest history) {
  for (const Split split : kSplits) {
    if (writers_[static_cast<std::size_t>(split)].n_tokens() == 0) continue;
    BELAY_RETURN_IF_ERROR(write_shard(split));
  }
  history.splits = manifest_.splits;
  history.tokenizer = tokenizer_.fingerprint();
  history.vocab_size = tokenizer_.vocab_size();
  history.end_of_text = tokenizer_.end_of_text();
  // From here on the folder is no dataset until it is the new one: its tokenizer is being replaced.
  const std::string path = base::join_path(folder_, kManifestName);
  if (env_.exists(path)) {
    BELAY_RETURN_IF_ERROR(env_.remove_file(path));
    BELAY_RETURN_IF_ERROR(env_.sync_dir(folder_));
  }
  BELAY_RETURN_IF_ERROR(tokenizer_.save(env_, folder_));
  BELAY_ASSIGN_OR_RETURN(const text::Tokenizer saved, text::Tokenizer::load(env_, folder_));
  if (saved.fingerprint() != tokenizer_.fingerprint()) {
    return base::unsupported({.where = base::join_path(folder_, "tokenizer.json"),
                              .what = "does not read back as the tokenizer that it was saved from",
                              .seen = base::hex64(saved.fingerprint()),
                              .allowed = base::hex64(tokenizer_.fingerprint())});
  }
  BELAY_ASSIGN_OR_RETURN(history.tokenizer_files, tokenizer_files(env_, folder_));
  BELAY_RETURN_IF_ERROR(base::write_file_atomic(env_, path, manifest_text(history)));
  finished_ = true;
  remove_old_files();
  return history;
}

/// The new dataset stands; what cannot be removed now, the next one removes.
void DatasetWriter::remove_old_files() {
  const auto names = env_.list_dir(folder_);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    // Temporary files are those of a writer that was killed.
    if (base::is_temporary_name(name) || (is_shard(name) && !written_.contains(name))) {
      (void)env_.remove_file(base::join_path(folder_, name));
    }
  }
}

}  // namespace belay::data
