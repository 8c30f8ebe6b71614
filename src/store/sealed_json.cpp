#include "store/sealed_json.h"

#include <nlohmann/json.hpp>
#include <span>

#include "base/hash.h"

namespace belay::store {
namespace {

constexpr std::string_view kBefore = "\"xxh3\":\"", kAfter = "\"}\n";
constexpr std::size_t kDigits = 16;
constexpr std::size_t kSealBytes = kBefore.size() + kDigits + kAfter.size();

std::string hash_of(std::string_view text) {
  return base::hex64(base::xxh3_64(std::as_bytes(std::span(text))));
}

}  // namespace

std::string seal_json(const nlohmann::ordered_json& object) {
  BELAY_CHECK(object.is_object() && !object.empty() && !object.contains("xxh3"),
              "an object with fields, not sealed yet");
  std::string text = object.dump();
  text.back() = ',';
  return text + std::string(kBefore) + hash_of(text) + std::string(kAfter);
}

base::Result<base::JsonReader> open_sealed_json(std::string_view text, std::string_view file) {
  const std::string_view body = text.substr(0, text.size() - std::min(text.size(), kSealBytes));
  const std::string_view seal = text.substr(body.size());
  if (seal.size() != kSealBytes || !seal.starts_with(kBefore) || !seal.ends_with(kAfter)) {
    return base::corrupt({.where = std::string(file),
                          .what = "does not end with its checksum",
                          .seen = base::printable(seal),
                          .next = "the file was damaged or edited: use another copy"});
  }
  const std::string_view stored = seal.substr(kBefore.size(), kDigits);
  if (const std::string seen = hash_of(body); seen != stored) {
    return base::corrupt({.where = std::string(file),
                          .what = "does not match its checksum",
                          .seen = seen,
                          .allowed = base::printable(stored),
                          .next = "the file was damaged or edited: use another copy"});
  }
  return base::parse_json(text, file);
}

}  // namespace belay::store
