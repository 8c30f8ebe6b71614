#include "data/text_encoder.h"

namespace belay::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 18;

}  // namespace

void TextEncoder::clear() {
  blocks_.clear();
  ends_.clear();
}

void TextEncoder::add(std::string_view text) {
  while (text.size() > 2 * kBlockBytes) {
    const std::size_t cut = tokenizer_.safe_cut(text.substr(0, kBlockBytes));
    if (cut == 0) break;
    blocks_.push_back({text.substr(0, cut), {}});
    text.remove_prefix(cut);
  }
  blocks_.push_back({text, {}});
  ends_.push_back(blocks_.size());
}

void TextEncoder::run() {
  threads_.parallel(static_cast<std::int64_t>(blocks_.size()), [this](std::int64_t i, int) {
    Block& block = blocks_[static_cast<std::size_t>(i)];
    tokenizer_.encode(block.text, block.ids);
  });
}

void TextEncoder::document(std::size_t i, std::vector<std::int32_t>& ids) const {
  ids.clear();
  if (const auto id = tokenizer_.end_of_text()) ids.push_back(*id);
  for (std::size_t b = i == 0 ? 0 : ends_[i - 1]; b < ends_[i]; ++b) {
    ids.insert(ids.end(), blocks_[b].ids.begin(), blocks_[b].ids.end());
  }
}

}  // namespace belay::data
