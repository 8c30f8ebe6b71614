#include "ops/adamw.h"

#include <array>

#include "ops/matmul.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {

void adamw_step(base::Context& ctx, std::span<const AdamwTensor> tensors, const AdamwOptions& o) {
  const auto run = simd::kernels(ctx.isa).adamw;
  const auto steps = static_cast<double>(o.step);
  const double c1 = 1 - std::pow(static_cast<double>(o.beta1), steps);
  const double c2 = 1 - std::pow(static_cast<double>(o.beta2), steps);
  const auto count = [&](std::size_t i) { return tensors[i].n; };
  for_parts(ctx, tensors.size(), 2048, count,
            [&](std::size_t i, std::int64_t begin, std::int64_t end) {
              const AdamwTensor& t = tensors[i];
              run({.w = t.w + begin,
                   .m = t.m + begin,
                   .v = t.v + begin,
                   .g = t.g + begin,
                   .n = end - begin,
                   .lr = o.lr,
                   .beta1 = o.beta1,
                   .beta2 = o.beta2,
                   .eps = o.eps,
                   .decay = t.decay,
                   .grad_scale = o.grad_scale,
                   .correction1 = static_cast<float>(c1),
                   .correction2 = static_cast<float>(c2)});
            });
}

double sum_of_squares(base::Context& ctx, const float* x, std::int64_t n) {
  constexpr std::int64_t kChunk = 8192, kWave = 256;
  const auto run = simd::kernels(ctx.isa).sum_squares;
  std::array<float, kWave> sums{};
  double total = 0;
  for (std::int64_t wave = 0; wave < n; wave += kChunk * kWave) {
    const std::int64_t end = std::min(n, wave + kChunk * kWave);
    for_chunks(ctx, end - wave, kChunk, [&](std::int64_t a, std::int64_t b, int) {
      sums[static_cast<std::size_t>(a / kChunk)] = run(x + wave + a, b - a);
    });
    for (std::int64_t i = 0; i < ceil_div(end - wave, kChunk); ++i) {
      total += static_cast<double>(sums[static_cast<std::size_t>(i)]);
    }
  }
  return total;
}

}  // namespace belay::ops
