// Writes a prepared dataset into a folder: shards as they fill up, then the tokenizer, the manifest
// last. Whenever it ends, the folder opens as the dataset that was there, as the new one, or as
// none. A writer that is destroyed before finish() takes its shards away again; those that a killed
// one left are removed by the next.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "data/dataset_manifest.h"
#include "store/shard.h"
#include "text/tokenizer.h"

namespace belay::data {

/// A shard is closed when it holds at least so many tokens; a document lies in one shard.
inline constexpr std::int64_t kShardTokens = std::int64_t{1} << 24;

class DatasetWriter {
 public:
  /// The tokenizer outlives this.
  DatasetWriter(base::Env& env, std::string folder, const text::Tokenizer& tokenizer,
                std::int64_t shard_tokens = kShardTokens);
  ~DatasetWriter();
  DatasetWriter(const DatasetWriter&) = delete;
  DatasetWriter& operator=(const DatasetWriter&) = delete;

  /// Fails where the folder holds anything but a dataset; changes nothing yet.
  base::Status begin();
  /// ids: of a whole document, its end-of-text first where the tokenizer has one.
  base::Status add(Split split, std::span<const std::int32_t> ids,
                   const store::ShardDocument& document);
  const DatasetManifest::Part& part(Split split) const { return manifest_.part(split); }
  /// `history`: sources and what else the caller knows; shards, counts and tokenizer are filled in.
  base::Result<DatasetManifest> finish(DatasetManifest history);

 private:
  base::Status write_shard(Split split);
  void remove_old_shards();

  base::Env& env_;
  std::string folder_;
  const text::Tokenizer& tokenizer_;
  std::int64_t shard_tokens_;
  std::array<store::ShardWriter, 2> writers_;
  DatasetManifest manifest_;
  std::set<std::string> kept_;     // shards of the dataset that was there
  std::set<std::string> written_;  // of this one
  bool finished_ = false;
};

}  // namespace belay::data
