#include "data/dataset.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/hash.h"
#include "data/sources.h"
#include "store/shard.h"

namespace belay::data {

/// Documents in memory, a byte a token.
struct MemoryBytes {
  std::string text;
  std::vector<store::ShardDocument> documents;

  explicit MemoryBytes(std::vector<std::string> texts) {
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

/// Documents in memory as ids of a tokenizer.
struct MemoryIds {
  std::vector<std::int32_t> ids;
  std::vector<store::ShardDocument> documents;

  MemoryIds(const text::Tokenizer& tokenizer, std::span<const std::string_view> texts) {
    std::uint32_t number = 0;
    for (const std::string_view t : texts) {
      ++number;
      if (t.empty()) continue;
      documents.push_back({.first_token = ids.size(), .text_bytes = t.size(), .number = number});
      tokenizer.encode(t, ids);
    }
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(ids)); }
  TokenStream::Part part() const { return {bytes(), sizeof(std::int32_t), documents}; }
};

namespace {

using base::Result;
using base::Status;

constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 30;
constexpr const char* kAgain = "prepare the data again";

Status damaged(const std::string& path, std::string what, std::string seen, std::string allowed) {
  return base::corrupt({.where = path,
                        .what = std::move(what),
                        .seen = std::move(seen),
                        .allowed = std::move(allowed),
                        .next = kAgain});
}

Result<DatasetManifest> read_manifest(base::Env& env, const std::string& folder) {
  const std::string path = base::join_path(folder, kManifestName);
  if (!env.exists(folder)) return base::not_found({.where = folder, .what = "does not exist"});
  if (!env.is_directory(folder) || !env.exists(path)) {
    return base::not_found({.where = folder,
                            .what = "is no prepared dataset",
                            .next = "belay data prepare --out FOLDER makes one from text"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMostFileBytes));
  return parse_manifest(text, path);
}

/// The tokenizer's files are those that the manifest knows, and give the tokenizer that it knows.
Result<text::Tokenizer> load_tokenizer(base::Env& env, const std::string& folder,
                                       const DatasetManifest& m) {
  for (const DatasetManifest::File& file : m.tokenizer_files) {
    const std::string path = base::join_path(folder, file.name);
    BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMostFileBytes));
    const std::uint64_t seen = base::xxh3_64(std::as_bytes(std::span(text)));
    if (seen == file.xxh3) continue;
    return damaged(path, "is not the file that was prepared: its checksum does not match",
                   base::hex64(seen), base::hex64(file.xxh3));
  }
  BELAY_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::load(env, folder));
  if (tokenizer.fingerprint() != m.tokenizer || tokenizer.vocab_size() != m.vocab_size ||
      tokenizer.end_of_text() != m.end_of_text) {
    return damaged(base::join_path(folder, "tokenizer.json"),
                   "does not give the tokenizer that the shards were made with",
                   base::hex64(tokenizer.fingerprint()), base::hex64(m.tokenizer));
  }
  return tokenizer;
}

Status check_count(const std::string& where, std::int64_t seen, std::int64_t allowed) {
  if (seen == allowed) return {};
  return damaged(where, "is not what the shards hold", std::to_string(seen),
                 std::to_string(allowed));
}

/// A shard is the one that the manifest means, and goes with the tokenizer and the list of sources.
Result<store::Shard> open_shard(base::Env& env, const std::string& folder, const DatasetManifest& m,
                                const DatasetManifest::File& file) {
  const std::string path = base::join_path(folder, file.name);
  BELAY_ASSIGN_OR_RETURN(store::Shard shard, store::Shard::open(env, path));
  if (const std::uint64_t seen = store::shard_xxh3(shard.header()); seen != file.xxh3) {
    return damaged(path, "is not the shard that dataset.json means", base::hex64(seen),
                   base::hex64(file.xxh3));
  }
  const store::ShardHeader& h = shard.header();
  if (h.tokenizer != m.tokenizer || h.vocab_size != static_cast<std::uint64_t>(m.vocab_size)) {
    return damaged(path, "was made with another tokenizer", base::hex64(h.tokenizer),
                   base::hex64(m.tokenizer));
  }
  for (const store::ShardDocument& d : shard.documents()) {
    if (d.source < m.sources.size()) continue;
    return damaged(path, "has a document of an unknown source", std::to_string(d.source),
                   fmt::format("0 to {}", static_cast<std::int64_t>(m.sources.size()) - 1));
  }
  return shard;
}

}  // namespace

struct Dataset::State {
  std::string name;
  text::Tokenizer tokenizer = text::Tokenizer::bytes();
  std::vector<std::string> sources;
  std::optional<DatasetManifest> manifest;
  std::vector<MemoryBytes> memory;  // one of the three
  std::vector<MemoryIds> encoded;
  std::vector<store::Shard> shards;
  std::array<TokenStream, 2> splits;
  std::uint64_t fingerprint = 0;
};

Result<Dataset> Dataset::open(base::Env& env, const std::string& folder) {
  auto state = std::make_shared<State>();
  state->name = folder;
  BELAY_ASSIGN_OR_RETURN(state->manifest, read_manifest(env, folder));
  const DatasetManifest& m = *state->manifest;
  BELAY_ASSIGN_OR_RETURN(state->tokenizer, load_tokenizer(env, folder, m));
  state->sources = m.sources;
  base::Xxh3 hash;
  hash.update(std::as_bytes(std::span(&m.tokenizer, 1)));
  for (const Split split : kSplits) {
    const DatasetManifest::Part& part = m.part(split);
    std::vector<TokenStream::Part> parts;
    for (const DatasetManifest::File& file : part.shards) {
      BELAY_ASSIGN_OR_RETURN(store::Shard shard, open_shard(env, folder, m, file));
      hash.update(std::as_bytes(std::span(&file.xxh3, 1)));
      parts.push_back({shard.tokens(), shard.header().token_bytes, shard.documents()});
      state->shards.push_back(std::move(shard));  // what is mapped stays where it is
    }
    const std::size_t n_shards = part.shards.size();
    hash.update(std::as_bytes(std::span(&n_shards, 1)));
    TokenStream& stream = state->splits[static_cast<std::size_t>(split)];
    stream = TokenStream(std::move(parts), m.end_of_text);
    const std::string where =
        fmt::format("{}: {}", base::join_path(folder, kManifestName), split_name(split));
    BELAY_RETURN_IF_ERROR(check_count(where + ": tokens", part.tokens, stream.n_tokens()));
    BELAY_RETURN_IF_ERROR(check_count(where + ": documents", part.documents, stream.n_documents()));
    BELAY_RETURN_IF_ERROR(
        check_count(where + ": text_bytes", part.text_bytes, stream.n_text_bytes()));
  }
  state->fingerprint = hash.digest();
  return Dataset(std::move(state));
}

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

Dataset Dataset::of_texts(text::Tokenizer tokenizer,
                          std::span<const std::string_view> train_documents,
                          std::span<const std::string_view> valid_documents, std::string name) {
  auto state = std::make_shared<State>();
  state->sources = {name};
  state->name = std::move(name);
  state->tokenizer = std::move(tokenizer);
  state->encoded.emplace_back(state->tokenizer, train_documents);
  state->encoded.emplace_back(state->tokenizer, valid_documents);
  base::Xxh3 hash;
  for (std::size_t s = 0; s < 2; ++s) {
    const MemoryIds& split = state->encoded[s];
    state->splits[s] = TokenStream({split.part()}, std::nullopt);
    for (const store::ShardDocument& d : split.documents) {
      hash.update(std::as_bytes(std::span(&d.first_token, 1)));
    }
    hash.update(split.bytes());
  }
  const std::uint64_t of_tokenizer = state->tokenizer.fingerprint();
  hash.update(std::as_bytes(std::span(&of_tokenizer, 1)));
  state->fingerprint = hash.digest();
  return Dataset(std::move(state));
}

const TokenStream& Dataset::split(Split split) const {
  return state_->splits[static_cast<std::size_t>(split)];
}
const text::Tokenizer& Dataset::tokenizer() const { return state_->tokenizer; }
const std::string& Dataset::name() const { return state_->name; }
std::uint64_t Dataset::fingerprint() const { return state_->fingerprint; }
std::int64_t Dataset::unique_train_tokens() const {
  return state_->manifest ? state_->manifest->unique_train_tokens : train().n_tokens();
}
const DatasetManifest* Dataset::manifest() const {
  return state_->manifest ? &*state_->manifest : nullptr;
}

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
  const std::string& source = state_->sources[document.source];
  const bool lines = state_->manifest && form_of(source) == Form::kJsonLines;
  return fmt::format("{}, {} {}, byte {}", source, lines ? "line" : "document", document.number,
                     byte);
}

Status check_long_enough(const Dataset& dataset, std::int64_t context, std::int64_t batch_tokens) {
  const std::int64_t needed = std::max(context, batch_tokens);
  if (dataset.train().n_tokens() >= needed) return {};
  return base::unsupported({.where = dataset.name(),
                            .what = "is shorter than one batch",
                            .seen = fmt::format("{} training tokens", dataset.train().n_tokens()),
                            .allowed = fmt::format("at least {}", needed),
                            .next = "use more text, or smaller --batch-tokens and --context"});
}

}  // namespace belay::data
