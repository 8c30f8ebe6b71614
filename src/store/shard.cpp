#include "store/shard.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/hash.h"

namespace belay::store {
namespace {

using base::Result;
using base::Status;

constexpr std::uint64_t kMostVocab = std::uint64_t{1} << 31;
constexpr std::uint64_t kNarrowVocab = std::uint64_t{1} << 16;
constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 40;
constexpr std::size_t kPiece = std::size_t{1} << 18;  // stays in the cache between hash and check
constexpr const char* kAgain = "prepare the data again";

std::span<const std::byte> bytes_of(const ShardHeader& header) {
  return std::as_bytes(std::span(&header, 1));
}

std::uint64_t header_xxh3(const ShardHeader& header) {
  return base::xxh3_64(bytes_of(header).first(offsetof(ShardHeader, header_xxh3)));
}

std::uint64_t padded(std::uint64_t bytes) { return (bytes + 7) / 8 * 8; }

std::uint32_t token_bytes_for(std::uint64_t vocab_size) {
  return vocab_size <= kNarrowVocab ? 2 : 4;
}

Status wrong(std::string_view path, std::string_view field, std::string what, std::string seen,
             std::string allowed) {
  return base::corrupt({.where = fmt::format("{}: {}", path, field),
                        .what = std::move(what),
                        .seen = std::move(seen),
                        .allowed = std::move(allowed),
                        .next = kAgain});
}

Status checksum_differs(std::string_view path, std::string_view field, std::uint64_t seen,
                        std::uint64_t stored) {
  return wrong(path, field, "was changed or damaged: its checksum does not match",
               base::hex64(seen), base::hex64(stored));
}

Status check_range(std::string_view path, std::string_view field, std::uint64_t value,
                   std::uint64_t least, std::uint64_t most) {
  if (value >= least && value <= most) return {};
  return wrong(path, field, "is out of range", std::to_string(value),
               fmt::format("{} to {}", least, most));
}

/// The numbers of the header by themselves, and the size of the file that follows from them.
Status check_header(const std::string& path, const ShardHeader& h, std::uint64_t file_bytes) {
  if (h.magic != kShardMagic) {
    return base::corrupt({.where = path, .what = "is not a token shard", .next = kAgain});
  }
  if (h.version != kShardVersion) {
    return base::unsupported({.where = path + ": version",
                              .what = "is not known to this program",
                              .seen = std::to_string(h.version),
                              .allowed = std::to_string(kShardVersion),
                              .next = kAgain});
  }
  if (const std::uint64_t sum = header_xxh3(h); sum != h.header_xxh3) {
    return checksum_differs(path, "header", sum, h.header_xxh3);
  }
  BELAY_RETURN_IF_ERROR(check_range(path, "vocab_size", h.vocab_size, 1, kMostVocab));
  const std::uint32_t token_bytes = token_bytes_for(h.vocab_size);
  BELAY_RETURN_IF_ERROR(check_range(path, "token_bytes", h.token_bytes, token_bytes, token_bytes));
  BELAY_RETURN_IF_ERROR(check_range(path, "n_tokens", h.n_tokens, 1, kMostTokens));
  BELAY_RETURN_IF_ERROR(check_range(path, "n_documents", h.n_documents, 1, h.n_tokens));
  // Within these ranges nothing below overflows.
  const std::uint64_t bytes = sizeof(ShardHeader) + padded(h.n_tokens * h.token_bytes) +
                              h.n_documents * sizeof(ShardDocument);
  if (bytes == file_bytes) return {};
  return wrong(path, "size", "is not what the header says", fmt::format("{} bytes", file_bytes),
               fmt::format("{} bytes", bytes));
}

/// The largest of the stored ids.
template <class Stored>
std::uint64_t largest(std::span<const std::byte> bytes) {
  Stored most = 0;
  for (std::size_t at = 0; at + sizeof(Stored) <= bytes.size(); at += sizeof(Stored)) {
    Stored id;
    std::memcpy(&id, bytes.data() + at, sizeof(Stored));
    most = std::max(most, id);
  }
  return most;
}

/// Checksum and range of the ids in one pass. The zeros after them are no ids, and pass as such.
Status check_tokens(const std::string& path, const ShardHeader& h,
                    std::span<const std::byte> tokens) {
  base::Xxh3 hash;
  std::uint64_t most = 0;
  for (std::size_t at = 0; at < tokens.size(); at += kPiece) {
    const auto piece = tokens.subspan(at, std::min(kPiece, tokens.size() - at));
    hash.update(piece);
    most = std::max(
        most, h.token_bytes == 2 ? largest<std::uint16_t>(piece) : largest<std::uint32_t>(piece));
  }
  if (hash.digest() != h.tokens_xxh3) {
    return checksum_differs(path, "tokens", hash.digest(), h.tokens_xxh3);
  }
  return check_range(path, "largest token id", most, 0, h.vocab_size - 1);
}

Status check_documents(const std::string& path, const ShardHeader& h,
                       std::span<const ShardDocument> documents) {
  const std::uint64_t sum = base::xxh3_64(std::as_bytes(documents));
  if (sum != h.documents_xxh3) return checksum_differs(path, "documents", sum, h.documents_xxh3);
  std::uint64_t text_bytes = 0;
  for (std::size_t d = 0; d < documents.size(); ++d) {
    const std::string field = "first_token of document " + std::to_string(d);
    const std::uint64_t least = d == 0 ? 0 : documents[d - 1].first_token + 1;
    const std::uint64_t most = d == 0 ? 0 : h.n_tokens - 1;
    BELAY_RETURN_IF_ERROR(check_range(path, field, documents[d].first_token, least, most));
    const auto total = base::checked_add(text_bytes, documents[d].text_bytes);
    if (!total) return wrong(path, "text_bytes", "overflows", std::to_string(d), "");
    text_bytes = *total;
  }
  return check_range(path, "n_text_bytes", h.n_text_bytes, text_bytes, text_bytes);
}

}  // namespace

std::uint64_t shard_xxh3(const ShardHeader& header) { return base::xxh3_64(bytes_of(header)); }

Result<Shard> Shard::open(base::Env& env, const std::string& path) {
  Shard shard;
  BELAY_ASSIGN_OR_RETURN(shard.file_, env.map_file(path));
  const std::span<const std::byte> bytes = shard.file_.bytes();
  ShardHeader& header = shard.header_;
  if (bytes.size() < sizeof(header)) {
    return wrong(path, "header", "is cut off", fmt::format("{} bytes", bytes.size()),
                 fmt::format("at least {} bytes", sizeof(header)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  BELAY_RETURN_IF_ERROR(check_header(path, header, bytes.size()));
  const std::uint64_t documents_begin = bytes.size() - header.n_documents * sizeof(ShardDocument);
  BELAY_RETURN_IF_ERROR(
      check_tokens(path, header, bytes.subspan(sizeof(header), documents_begin - sizeof(header))));
  BELAY_RETURN_IF_ERROR(check_documents(path, header, shard.documents()));
  return shard;
}

std::span<const std::byte> Shard::tokens() const {
  return file_.bytes().subspan(sizeof(ShardHeader), header_.n_tokens * header_.token_bytes);
}

std::span<const ShardDocument> Shard::documents() const {
  const std::span<const std::byte> bytes = file_.bytes();
  // The file is mapped at a page and the index begins at a multiple of 8.
  const std::byte* begin =
      bytes.data() + bytes.size() - header_.n_documents * sizeof(ShardDocument);
  return {reinterpret_cast<const ShardDocument*>(begin), header_.n_documents};
}

ShardWriter::ShardWriter(std::int64_t vocab_size, std::uint64_t tokenizer) {
  BELAY_CHECK(vocab_size > 0 && vocab_size <= std::int64_t{kMostVocab}, "ids fit in 31 bits");
  header_.vocab_size = static_cast<std::uint64_t>(vocab_size);
  header_.token_bytes = token_bytes_for(header_.vocab_size);
  header_.tokenizer = tokenizer;
}

void ShardWriter::add(std::span<const std::int32_t> ids, ShardDocument document) {
  BELAY_CHECK(!ids.empty(), "a document has tokens");
  document.first_token = header_.n_tokens;
  documents_.push_back(document);
  header_.n_tokens += ids.size();
  header_.n_documents += 1;
  header_.n_text_bytes += document.text_bytes;
  for (const std::int32_t id : ids) {
    BELAY_CHECK(id >= 0 && static_cast<std::uint64_t>(id) < header_.vocab_size,
                "an id of the vocabulary");
  }
  if (header_.token_bytes == 2) {
    narrow_.insert(narrow_.end(), ids.begin(), ids.end());
  } else {
    wide_.insert(wide_.end(), ids.begin(), ids.end());
  }
}

Result<ShardWriter::Written> ShardWriter::write(base::Env& env, const std::string& folder,
                                                const std::string& prefix) {
  BELAY_CHECK(header_.n_tokens > 0, "a shard has tokens");
  narrow_.resize((narrow_.size() + 3) / 4 * 4);
  wide_.resize((wide_.size() + 1) / 2 * 2);
  const std::span<const std::byte> tokens = header_.token_bytes == 2
                                                ? std::as_bytes(std::span(narrow_))
                                                : std::as_bytes(std::span(wide_));
  const auto documents = std::as_bytes(std::span(documents_));
  header_.tokens_xxh3 = base::xxh3_64(tokens);
  header_.documents_xxh3 = base::xxh3_64(documents);
  header_.header_xxh3 = header_xxh3(header_);
  Written written;
  written.bytes = sizeof(header_) + tokens.size() + documents.size();
  written.xxh3 = shard_xxh3(header_);
  written.header = header_;
  written.file = fmt::format("{}-{}.shard", prefix, base::hex64(written.xxh3).substr(0, 8));
  BELAY_ASSIGN_OR_RETURN(base::AtomicFile file,
                         base::AtomicFile::open(env, base::join_path(folder, written.file)));
  BELAY_RETURN_IF_ERROR(file.write(bytes_of(header_)));
  BELAY_RETURN_IF_ERROR(file.write(tokens));
  BELAY_RETURN_IF_ERROR(file.write(documents));
  BELAY_RETURN_IF_ERROR(file.commit());
  clear();
  return written;
}

void ShardWriter::clear() {
  header_.n_tokens = header_.n_documents = header_.n_text_bytes = 0;
  narrow_.clear();
  wide_.clear();
  documents_.clear();
}

}  // namespace belay::store
