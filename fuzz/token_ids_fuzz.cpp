// Any bytes as a file of token ids. What is accepted holds no empty document and no id outside the
// vocabulary.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "data/token_ids.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr belay::data::TokenIdLimits kLimits{.vocab_size = 512, .longest = 64};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto ids = belay::data::parse_token_ids(text, "ids.json", kLimits);
  if (!ids.ok()) {
    if (ids.status().detail().where.rfind("ids.json", 0) != 0) std::abort();
    return 0;
  }
  if (ids->documents.empty() || (ids->one && ids->documents.size() != 1)) std::abort();
  for (const auto& document : ids->documents) {
    if (document.empty() || document.size() > 64) std::abort();
    for (const std::int32_t id : document) {
      if (id < 0 || id >= 512) std::abort();
    }
  }
  return 0;
}
