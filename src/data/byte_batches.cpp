#include "data/byte_batches.h"

#include "base/rng.h"
#include "base/status.h"

namespace belay::data {

ByteBatches::ByteBatches(std::string_view text, std::int64_t context, std::uint64_t seed)
    : text_(text), context_(context), seed_(seed) {
  BELAY_CHECK(context > 0 && static_cast<std::int64_t>(text.size()) > context,
              "the text holds a window");
}

void ByteBatches::rows(std::int64_t step, std::int64_t first_row,
                       std::span<std::int32_t> out) const {
  const base::Rng rng(seed_, base::Purpose::kBatch, static_cast<std::uint64_t>(step));
  const auto width = static_cast<std::size_t>(context_ + 1);
  const auto n_windows = static_cast<double>(text_.size() - width + 1);
  for (std::size_t r = 0; (r + 1) * width <= out.size(); ++r) {
    const double u = rng.uniform53(static_cast<std::uint64_t>(first_row) + r);
    const auto offset = static_cast<std::size_t>(u * n_windows);
    for (std::size_t i = 0; i < width; ++i) {
      out[r * width + i] = static_cast<unsigned char>(text_[offset + i]);
    }
  }
}

}  // namespace belay::data
