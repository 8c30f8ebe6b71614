#include "train/byte_validation.h"

#include <algorithm>
#include <numbers>

#include "model/score.h"

namespace belay::train {

double ByteValidation::bits_per_byte() const { return nats_per_byte / std::numbers::ln2; }

base::Result<ByteValidation> validate_bytes(base::Context& ctx, base::Env& env,
                                            const model::Model& model, std::string_view text,
                                            std::int64_t context) {
  if (text.empty()) return ByteValidation{};
  const auto width = static_cast<std::size_t>(context);
  const std::size_t stride = std::max<std::size_t>(1, width / 2);
  model::Documents windows;
  for (std::size_t begin = 0; begin == 0 || begin + width - stride < text.size(); begin += stride) {
    const std::string_view window = text.substr(begin, width);
    std::vector<std::int32_t>& ids = windows.emplace_back();
    for (const char c : window) ids.push_back(static_cast<unsigned char>(c));
  }
  BELAY_ASSIGN_OR_RETURN(const auto scores, model::score(ctx, env, model, windows));
  double nats = 8 * std::numbers::ln2;
  std::size_t next = 1;  // the first byte that is not counted yet
  for (std::size_t w = 0; w < scores.size(); ++w) {
    for (; next < w * stride + 1 + scores[w].size(); ++next) {
      nats -= static_cast<double>(scores[w][next - 1 - w * stride]);
    }
  }
  BELAY_CHECK(next == text.size(), "every byte is counted");
  return ByteValidation{nats / static_cast<double>(text.size())};
}

}  // namespace belay::train
