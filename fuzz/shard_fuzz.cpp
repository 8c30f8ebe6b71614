// Any bytes as a token shard, as they are and with their checksums put right, so that what lies
// behind them is reached too; or, when they begin with '{', as the manifest of a dataset. What
// opens must be consistent: every id and every document lies where the header says.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/env_wrapper.h"
#include "base/hash.h"
#include "data/dataset_manifest.h"
#include "data/token_stream.h"
#include "store/shard.h"

namespace {

using belay::base::Env;
using belay::base::EnvWrapper;
using belay::base::MappedFile;
using belay::base::Result;
using belay::store::Shard;
using belay::store::ShardDocument;
using belay::store::ShardHeader;

class FuzzEnv final : public EnvWrapper {
 public:
  explicit FuzzEnv(std::string_view data) : EnvWrapper(Env::posix()), data_(data) {}
  Result<MappedFile> map_file(const std::string&) override {
    std::vector<std::byte> buffer(data_.size());
    if (!data_.empty()) std::memcpy(buffer.data(), data_.data(), data_.size());
    return MappedFile(std::move(buffer));
  }

 private:
  std::string_view data_;
};

std::uint64_t xxh3(std::string_view text) {
  return belay::base::xxh3_64(std::as_bytes(std::span(text)));
}

void check_shard(std::string_view data) {
  FuzzEnv env(data);
  const auto shard = Shard::open(env, "f.shard");
  if (!shard.ok()) {
    if (shard.status().detail().where.rfind("f.shard", 0) != 0) std::abort();
    return;
  }
  const ShardHeader& h = shard->header();
  const belay::data::TokenStream stream({{shard->tokens(), h.token_bytes, shard->documents()}},
                                        std::nullopt);
  if (stream.n_tokens() != static_cast<std::int64_t>(h.n_tokens)) std::abort();
  std::vector<std::int32_t> ids(h.n_tokens);
  stream.read(0, ids);
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::uint64_t>(id) >= h.vocab_size) std::abort();
  }
  for (std::int64_t d = 0; d < stream.n_documents(); ++d) {
    const std::int64_t begin = stream.document_begin(d);
    if (begin >= stream.document_begin(d + 1) || stream.document_at(begin) != d) std::abort();
  }
}

/// The checksums that the bytes would have.
std::string sealed(std::string bytes) {
  ShardHeader h;
  std::memcpy(&h, bytes.data(), sizeof(h));
  const std::string_view rest = std::string_view(bytes).substr(sizeof(h));
  const std::uint64_t documents = h.n_documents * sizeof(ShardDocument);
  if (h.n_documents <= rest.size() / sizeof(ShardDocument)) {
    h.tokens_xxh3 = xxh3(rest.substr(0, rest.size() - documents));
    h.documents_xxh3 = xxh3(rest.substr(rest.size() - documents));
  }
  h.header_xxh3 = xxh3({reinterpret_cast<const char*>(&h), offsetof(ShardHeader, header_xxh3)});
  std::memcpy(bytes.data(), &h, sizeof(h));
  return bytes;
}

void check_manifest(std::string_view data) {
  std::string text(data);
  const std::string seal = "\"xxh3\":\"" + belay::base::hex64(xxh3(text)) + "\"}\n";
  for (const std::string& manifest : {text, text + seal}) {
    const auto m = belay::data::parse_manifest(manifest, "dataset.json");
    if (!m.ok()) {
      if (m.status().detail().where.rfind("dataset.json", 0) != 0) std::abort();
      continue;
    }
    if (m->vocab_size < 1 || (m->end_of_text && *m->end_of_text >= m->vocab_size)) std::abort();
    const std::string again = belay::data::manifest_text(*m);
    const auto twice = belay::data::parse_manifest(again, "dataset.json");
    if (!twice.ok() || belay::data::manifest_text(*twice) != again) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with('{')) {
    check_manifest(bytes);
    return 0;
  }
  check_shard(bytes);
  if (size >= sizeof(ShardHeader)) check_shard(sealed(std::string(bytes)));
  return 0;
}
