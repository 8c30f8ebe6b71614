// How a token shard lies in its file. All numbers are little-endian; a shard is, in this order:
//
//   ShardHeader                       80 bytes
//   tokens                            n_tokens of token_bytes each, then zeros up to a multiple of
//   8 documents                         n_documents ShardDocuments of 32 bytes
//
// and nothing else. docs/formats.md says the same with the reasons.
#pragma once

#include <bit>
#include <cstdint>

namespace belay::store {

constexpr std::uint64_t kShardMagic = 0x4448'5359'414C'4542;  // "BELAYSHD"
constexpr std::uint32_t kShardVersion = 1;

struct ShardHeader {
  std::uint64_t magic = kShardMagic;
  std::uint32_t version = kShardVersion;
  std::uint32_t token_bytes = 2;  // 2 where vocab_size <= 65536, else 4
  std::uint64_t vocab_size = 0;   // every id is below it
  std::uint64_t tokenizer = 0;    // fingerprint of what made the ids
  std::uint64_t n_tokens = 0;
  std::uint64_t n_documents = 0;
  std::uint64_t n_text_bytes = 0;    // of all documents
  std::uint64_t tokens_xxh3 = 0;     // XXH3-64 of the tokens and the zeros after them
  std::uint64_t documents_xxh3 = 0;  // of the documents
  std::uint64_t header_xxh3 = 0;     // of the 72 bytes before it
};

struct ShardDocument {
  std::uint64_t first_token = 0;  // in the shard
  std::uint64_t text_bytes = 0;   // of the text that the tokens stand for
  std::uint64_t text_begin = 0;   // where that text begins in what it was read from
  std::uint32_t source = 0;       // which file it was read from: an index of the dataset's list
  std::uint32_t number = 0;       // which document or line of that file, from 1
};

static_assert(sizeof(ShardHeader) == 80 && sizeof(ShardDocument) == 32 &&
                  std::endian::native == std::endian::little,
              "a mapped shard is read as it lies");

}  // namespace belay::store
