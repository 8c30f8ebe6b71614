#include "bench/roofline.h"

#include <algorithm>
#include <vector>

#include "ops/simd/dispatch.h"

namespace belay::bench {

ProductRate::ProductRate(tensor::DType dtype, int n_threads, bool enabled, const Repeats& repeats)
    : dtype_(dtype), n_threads_(n_threads), repeats_(repeats) {
  if (enabled) dnn_ = OneDnn::load();
}

std::optional<double> ProductRate::product(const MatmulShape& shape) const {
  return dnn_ ? dnn_->product(dtype_, shape, n_threads_, repeats_) : std::nullopt;
}

void ProductRate::measure() {
  last_ = product(kYardstick);
  if (!first_) first_ = last_;
  best_ = std::max(best_, last_);  // an absent rate is less than any
}

double read_bandwidth(base::Context& ctx, std::int64_t bytes) {
  constexpr std::int64_t kChunk = 1 << 18;
  const std::int64_t chunks = std::max<std::int64_t>(1, bytes / (4 * kChunk));
  const std::vector<float> memory(static_cast<std::size_t>(chunks * kChunk), 1.0f);
  const auto sum = ops::simd::kernels(ctx.isa).sum_squares;
  std::vector<float> sums(static_cast<std::size_t>(chunks));
  const double best = best_seconds({.most = 5}, [&] {
    ctx.threads.parallel(chunks, [&](std::int64_t c, int) {
      sums[static_cast<std::size_t>(c)] = sum(memory.data() + c * kChunk, kChunk);
    });
  });
  return static_cast<double>(4 * chunks * kChunk) / best;
}

}  // namespace belay::bench
