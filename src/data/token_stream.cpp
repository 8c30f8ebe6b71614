#include "data/token_stream.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace belay::data {
namespace {

std::int64_t size_of(const auto& list) { return static_cast<std::int64_t>(list.size()); }

/// Widens the stored numbers; memory may be unaligned.
template <class Stored>
void widen(const std::byte* from, std::span<std::int32_t> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<std::int32_t>(value);
  }
}

void read_part(const TokenStream::Part& part, std::int64_t begin, std::span<std::int32_t> out) {
  const std::byte* from = part.tokens.data() + begin * part.token_bytes;
  if (part.token_bytes == 1) return widen<std::uint8_t>(from, out);
  if (part.token_bytes == 2) return widen<std::uint16_t>(from, out);
  widen<std::int32_t>(from, out);
}

}  // namespace

TokenStream::TokenStream(std::vector<Part> parts, std::optional<std::int32_t> end_of_text)
    : end_of_text_(end_of_text) {
  for (Part& part : parts) {
    const std::int64_t n = size_of(part.tokens) / part.token_bytes;
    if (n == 0) continue;
    BELAY_CHECK(!part.documents.empty() && part.documents.front().first_token == 0,
                "a document begins where its part does");
    for (const store::ShardDocument& document : part.documents) {
      n_text_bytes_ += static_cast<std::int64_t>(document.text_bytes);
    }
    parts_.push_back({part, n_tokens_, n, n_documents_});
    n_tokens_ += n;
    n_documents_ += size_of(part.documents);
  }
}

const TokenStream::Placed& TokenStream::part_of_document(std::int64_t d) const {
  BELAY_CHECK(d >= 0 && d < n_documents_, "the document exists");
  const auto after = std::upper_bound(
      parts_.begin(), parts_.end(), d,
      [](std::int64_t number, const Placed& part) { return number < part.first_document; });
  return *(after - 1);
}

const TokenStream::Placed& TokenStream::part_of_token(std::int64_t token) const {
  BELAY_CHECK(token >= 0 && token < n_tokens_, "the token exists");
  const auto after = std::upper_bound(
      parts_.begin(), parts_.end(), token,
      [](std::int64_t position, const Placed& part) { return position < part.first_token; });
  return *(after - 1);
}

std::int64_t TokenStream::document_begin(std::int64_t d) const {
  if (d == n_documents_) return n_tokens_;
  const Placed& placed = part_of_document(d);
  const auto i = static_cast<std::size_t>(d - placed.first_document);
  return placed.first_token + static_cast<std::int64_t>(placed.part.documents[i].first_token);
}

const store::ShardDocument& TokenStream::document(std::int64_t d) const {
  const Placed& placed = part_of_document(d);
  return placed.part.documents[static_cast<std::size_t>(d - placed.first_document)];
}

std::int64_t TokenStream::document_at(std::int64_t token) const {
  const Placed& placed = part_of_token(token);
  const auto& documents = placed.part.documents;
  const auto after = std::upper_bound(
      documents.begin(), documents.end(), static_cast<std::uint64_t>(token - placed.first_token),
      [](std::uint64_t position, const store::ShardDocument& document) {
        return position < document.first_token;
      });
  return placed.first_document + (after - documents.begin()) - 1;
}

void TokenStream::read(std::int64_t begin, std::span<std::int32_t> out) const {
  BELAY_CHECK(begin >= 0 && size_of(out) <= n_tokens_ - begin, "the tokens exist");
  while (!out.empty()) {
    const Placed& placed = part_of_token(begin);
    const std::int64_t at = begin - placed.first_token;
    const std::int64_t n = std::min(size_of(out), placed.n_tokens - at);
    read_part(placed.part, at, out.first(static_cast<std::size_t>(n)));
    out = out.subspan(static_cast<std::size_t>(n));
    begin += n;
  }
}

}  // namespace belay::data
