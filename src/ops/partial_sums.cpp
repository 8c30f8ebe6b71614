#include "ops/partial_sums.h"

#include "ops/simd/dispatch.h"

namespace belay::ops {

void PartialSums::finish(base::Context& ctx, std::int64_t rows, float* to, bool add) const {
  const auto add_row = simd::kernels(ctx.isa).add_row;
  const std::int64_t chunks = (rows + kSumRows - 1) / kSumRows;
  if (!add) std::fill_n(to, width_, 0.0f);
  for (std::int64_t i = 0; i < chunks; ++i) add_row(to, sums_ + i * width_, width_);
}

}  // namespace belay::ops
