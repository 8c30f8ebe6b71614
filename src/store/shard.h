// Token shards: ids of many documents with an index of the documents, mapped when read
// (shard_format.h). open() reads the whole file once and trusts nothing in it: afterwards every id
// is below vocab_size, documents begin in ascending order and no byte differs from what was
// written.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/shard_format.h"

namespace belay::store {

class Shard {
 public:
  /// Errors name the file and the field that is wrong.
  static base::Result<Shard> open(base::Env& env, const std::string& path);

  const ShardHeader& header() const { return header_; }
  /// n_tokens of header().token_bytes each.
  std::span<const std::byte> tokens() const;
  std::span<const ShardDocument> documents() const;

 private:
  base::MappedFile file_;
  ShardHeader header_;
};

/// Collects a shard in memory and writes it whole or not at all.
class ShardWriter {
 public:
  /// vocab_size: ids are below it, at most 2^31.
  ShardWriter(std::int64_t vocab_size, std::uint64_t tokenizer);

  /// A document of at least one token; its first_token is filled in.
  void add(std::span<const std::int32_t> ids, ShardDocument document);
  std::int64_t n_tokens() const { return static_cast<std::int64_t>(header_.n_tokens); }

  struct Written {
    std::string file;  // its name in the folder
    std::uint64_t bytes = 0;
    std::uint64_t xxh3 = 0;  // of the header, and so of everything
    ShardHeader header;
  };
  /// Writes "PREFIX-XXXXXXXX.shard", where the digits are the begin of `xxh3`, and starts anew: a
  /// shard with other content never takes the place of one that is in use.
  base::Result<Written> write(base::Env& env, const std::string& folder, const std::string& prefix);

 private:
  void clear();

  ShardHeader header_;
  std::vector<std::uint16_t> narrow_;  // one of the two, by token_bytes
  std::vector<std::uint32_t> wide_;
  std::vector<ShardDocument> documents_;
};

/// What identifies a shard: XXH3 of its header, which holds the checksums of the rest.
std::uint64_t shard_xxh3(const ShardHeader& header);

}  // namespace belay::store
