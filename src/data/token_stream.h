// The token ids of one split as one stream, whose parts lie in mapped shards or in memory.
// Documents are known by their begins, not by ids. Reading neither allocates nor locks; many
// threads may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "store/shard_format.h"

namespace belay::data {

class TokenStream {
 public:
  /// Tokens of `token_bytes` (1, 2 or 4) each, and the documents that they are: the first one
  /// begins at token 0, none is empty. The memory outlives the stream.
  struct Part {
    std::span<const std::byte> tokens;
    std::int64_t token_bytes = 1;
    std::span<const store::ShardDocument> documents;
  };

  TokenStream() = default;
  /// end_of_text: the id that every document begins with, if any.
  TokenStream(std::vector<Part> parts, std::optional<std::int32_t> end_of_text);

  std::int64_t n_tokens() const { return n_tokens_; }
  std::int64_t n_documents() const { return n_documents_; }
  /// Raw UTF-8 bytes of the text of all documents.
  std::int64_t n_text_bytes() const { return n_text_bytes_; }
  std::optional<std::int32_t> end_of_text() const { return end_of_text_; }

  /// First token of document d in [0, n_documents]; n_tokens for n_documents. Ascending.
  std::int64_t document_begin(std::int64_t d) const;
  /// What is known of document d in [0, n_documents); its first_token counts from its part's begin.
  const store::ShardDocument& document(std::int64_t d) const;
  /// The document that holds this token.
  std::int64_t document_at(std::int64_t token) const;
  /// Tokens [begin, begin + out.size()), which must exist.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;

 private:
  struct Placed {
    Part part;
    std::int64_t first_token = 0, n_tokens = 0, first_document = 0;
  };
  const Placed& part_of_document(std::int64_t d) const;
  const Placed& part_of_token(std::int64_t token) const;

  std::vector<Placed> parts_;  // none is empty
  std::int64_t n_tokens_ = 0, n_documents_ = 0, n_text_bytes_ = 0;
  std::optional<std::int32_t> end_of_text_;
};

}  // namespace belay::data
