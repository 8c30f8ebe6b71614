// Any bytes as a tokenizer.json. What loads must encode any text to ids of its vocabulary, in
// blocks as at once, and, where tokens are bytes and nothing rewrites the text, give the same text
// back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"

namespace {

using belay::text::Tokenizer;

std::vector<std::int32_t> checked_ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, ids);
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
  }
  return ids;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto spec = belay::text::parse_tokenizer_json(bytes, "tokenizer.json");
  if (!spec.ok()) {
    if (spec.status().message().empty()) std::abort();
    return 0;
  }
  const auto tokenizer = Tokenizer::make(*spec, "tokenizer.json");
  if (!tokenizer.ok()) return 0;
  const std::string text = std::string(bytes.substr(0, 300)) + " It's 1234  \n\n" +
                           std::string(bytes.substr(size - std::min<std::size_t>(size, 300)));
  const auto ids = checked_ids(*tokenizer, text);
  const std::string decoded = tokenizer->decode(ids);
  if (spec->byte_level && !spec->nfc && !spec->add_prefix_space && spec->prepend.empty() &&
      spec->replaces.empty() && spec->specials.empty() && decoded != text) {
    std::abort();
  }
  const std::size_t cut = tokenizer->safe_cut(text);
  auto both = checked_ids(*tokenizer, std::string_view(text).substr(0, cut));
  tokenizer->encode(std::string_view(text).substr(cut), both);
  if (both != ids) std::abort();
  (void)tokenizer->encode_with_special(text);
  return 0;
}
