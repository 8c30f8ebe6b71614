#include "data/dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/hash.h"

namespace belay::data {
namespace {

/// Documents in memory, a byte a token.
struct Bytes {
  std::string text;
  std::vector<store::ShardDocument> documents;

  explicit Bytes(std::vector<std::string> texts) {
    std::size_t size = 0;
    for (const std::string& t : texts) size += t.size();
    text.reserve(size);
    std::uint32_t number = 0;
    for (std::string& t : texts) {
      ++number;
      if (t.empty()) continue;
      documents.push_back({.first_token = text.size(), .text_bytes = t.size(), .number = number});
      text += t;
      t = {};
    }
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(text)); }
  TokenStream::Part part() const { return {bytes(), 1, documents}; }
  /// What of it decides a run.
  void add_to(base::Xxh3& hash) const {
    for (const store::ShardDocument& d : documents) {
      hash.update(std::as_bytes(std::span(&d.text_bytes, 1)));
    }
    hash.update(bytes());
  }
};

}  // namespace

struct Dataset::State {
  std::string name;
  text::Tokenizer tokenizer = text::Tokenizer::bytes();
  std::vector<std::string> sources;
  std::vector<Bytes> memory;
  std::array<TokenStream, 2> splits;
  std::uint64_t fingerprint = 0;
};

Dataset Dataset::of_bytes(std::vector<std::string> train_documents,
                          std::vector<std::string> valid_documents, std::string name) {
  auto state = std::make_shared<State>();
  state->sources = {name};
  state->name = std::move(name);
  state->memory.emplace_back(std::move(train_documents));
  state->memory.emplace_back(std::move(valid_documents));
  base::Xxh3 hash;
  for (std::size_t s = 0; s < 2; ++s) {
    state->splits[s] = TokenStream({state->memory[s].part()}, std::nullopt);
    state->memory[s].add_to(hash);
  }
  state->fingerprint = hash.digest();
  return Dataset(std::move(state));
}

const TokenStream& Dataset::split(Split split) const {
  return state_->splits[static_cast<std::size_t>(split)];
}
const text::Tokenizer& Dataset::tokenizer() const { return state_->tokenizer; }
const std::string& Dataset::name() const { return state_->name; }
std::uint64_t Dataset::fingerprint() const { return state_->fingerprint; }

std::string Dataset::locate(Split where, std::int64_t token) const {
  const TokenStream& stream = split(where);
  const std::int64_t d = stream.document_at(token);
  const store::ShardDocument& document = stream.document(d);
  std::int64_t at = stream.document_begin(d);
  if (stream.end_of_text() && at < token) ++at;
  std::vector<std::int32_t> before(static_cast<std::size_t>(token - at));
  stream.read(at, before);
  std::uint64_t byte = document.text_begin;
  for (const std::int32_t id : before) byte += tokenizer().token_bytes(id).size();
  return fmt::format("{}, document {}, byte {}", state_->sources[document.source], document.number,
                     byte);
}

base::Status check_long_enough(const Dataset& dataset, std::int64_t context,
                               std::int64_t batch_tokens) {
  const std::int64_t needed = std::max(context, batch_tokens);
  if (dataset.train().n_tokens() >= needed) return {};
  return base::unsupported({.where = dataset.name(),
                            .what = "is shorter than one batch",
                            .seen = fmt::format("{} training tokens", dataset.train().n_tokens()),
                            .allowed = fmt::format("at least {}", needed),
                            .next = "use more text, or smaller --batch-tokens and --context"});
}

}  // namespace belay::data
