#include "ops/muon.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw.h"
#include "ops/matmul.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

constexpr int kIterations = 5;
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
constexpr std::int64_t kChunk = 16384;

using tensor::DType;
using tensor::View;

/// out = a x + b y, element by element.
void combine(base::Context& ctx, float* out, float a, const float* x, float b, const float* y,
             std::int64_t n) {
  const auto run = simd::kernels(ctx.isa).combine;
  for_chunks(ctx, n, kChunk, [&](std::int64_t i, std::int64_t end, int) {
    run(out + i, a, x + i, b, y + i, end - i);
  });
}

void transpose(base::Context& ctx, const float* from, float* to, std::int64_t rows,
               std::int64_t columns) {
  for_chunks(ctx, rows, 16, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = 0; c < columns; ++c) {
      for (std::int64_t r = begin; r < end; ++r) to[c * rows + r] = from[r * columns + c];
    }
  });
}

/// Scratch of Newton-Schulz on an [n, m] matrix, n <= m; all f32 but the operands of products.
struct Buffers {
  float *x, *a, *p, *y;      // [n, m], [n, n], [n, n], [n, m]
  std::byte *left, *packed;  // a product's operands in its type
};

/// out[n, k] = left[n, j] times b, where b is right^T (along: right [k, j]) or right itself ([j,
/// k]).
void product(base::Context& ctx, const Buffers& b, const float* left, std::int64_t n,
             std::int64_t j, const float* right, std::int64_t k, bool along, float* out,
             DType dtype) {
  const View l{b.left, {n, j}, dtype};
  if (dtype == DType::kBF16) {
    auto* to = reinterpret_cast<std::uint16_t*>(b.left);
    for_chunks(ctx, n * j, kChunk, [&](std::int64_t i, std::int64_t end, int) {
      simd::kernels(ctx.isa).round_row(to + i, left + i, end - i);
    });
  }
  const View x = dtype == DType::kBF16 ? l : View{const_cast<float*>(left), {n, j}, dtype};
  View packed{b.packed, {}, dtype};
  View source{const_cast<float*>(right), along ? tensor::Shape{k, j} : tensor::Shape{j, k},
              DType::kF32};
  if (along) {
    packed.shape = packed_forward_shape(k, j);
    pack_weight(ctx, source, packed, {});
  } else {
    packed.shape = packed_backward_shape(j, k);
    pack_weight(ctx, source, {}, packed);
  }
  multiply(ctx, {.x = x,
                 .b = packed,
                 .y = {out, {n, k}, DType::kF32},
                 .m = n,
                 .n = k,
                 .k = j,
                 .ldx = j,
                 .ldy = k});
}

void newton_schulz(base::Context& ctx, const Buffers& b, std::int64_t n, std::int64_t m,
                   DType dtype) {
  const auto norm = static_cast<float>(std::sqrt(sum_of_squares(ctx, b.x, n * m)));
  combine(ctx, b.x, 1.0f / (norm + 1e-7f), b.x, 0.0f, b.x, n * m);
  for (int i = 0; i < kIterations; ++i) {
    product(ctx, b, b.x, n, m, b.x, n, true, b.a, dtype);   // A = X X^T
    product(ctx, b, b.a, n, n, b.a, n, false, b.p, dtype);  // A A
    combine(ctx, b.p, kB, b.a, kC, b.p, n * n);             // b A + c A A
    product(ctx, b, b.p, n, n, b.x, m, false, b.y, dtype);  // (...) X
    combine(ctx, b.x, kA, b.x, 1.0f, b.y, n * m);
  }
}

}  // namespace

std::int64_t muon_scratch(std::int64_t rows, std::int64_t columns) {
  const std::int64_t n = std::min(rows, columns), m = std::max(rows, columns);
  const std::int64_t padded = round_up(m, 64) * round_up(n, 64);
  return 4 * (3 * padded + 2 * round_up(n * n, 16)) + 8 * padded + 64 * 8;
}

void muon_step(base::Context& ctx, float* w, const float* g, float* buffer, std::int64_t rows,
               std::int64_t columns, const MuonOptions& o, std::byte* scratch) {
  const std::int64_t n = std::min(rows, columns), m = std::max(rows, columns),
                     count = rows * columns;
  const std::int64_t padded = round_up(m, 64) * round_up(n, 64);
  Buffers b{};
  auto* f = reinterpret_cast<float*>(scratch);
  b.x = f, b.y = f + padded, b.a = f + 2 * padded, b.p = b.a + round_up(n * n, 16);
  b.left = reinterpret_cast<std::byte*>(b.p + round_up(n * n, 16));
  b.packed = b.left + 2 * padded + 64;
  float* update = b.y;
  combine(ctx, buffer, o.momentum, buffer, (1 - o.momentum) * o.grad_scale, g, count);
  if (o.nesterov) {
    combine(ctx, update, o.momentum, buffer, (1 - o.momentum) * o.grad_scale, g, count);
  } else {
    combine(ctx, update, 1.0f, buffer, 0.0f, buffer, count);
  }
  const bool flip = rows > columns;
  if (flip)
    transpose(ctx, update, b.x, rows, columns);
  else
    combine(ctx, b.x, 1.0f, update, 0.0f, update, count);
  // A row of bf16 pairs has an even length.
  const bool pairs = n % 2 == 0 && m % 2 == 0;
  newton_schulz(ctx, b, n, m, pairs ? o.dtype : DType::kF32);
  if (flip) transpose(ctx, b.x, b.y, columns, rows);
  const double ratio = static_cast<double>(rows) / static_cast<double>(columns);
  const auto scale = static_cast<float>(std::sqrt(std::max(1.0, ratio)));
  combine(ctx, w, 1.0f - o.lr * o.decay, w, -o.lr * scale, flip ? b.y : b.x, count);
}

}  // namespace belay::ops
