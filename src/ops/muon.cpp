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
constexpr std::int64_t kChunk = 16384, kTaskRows = 16;  // elements and rows of a task

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

std::byte* element(const View& v, std::int64_t i) {
  return static_cast<std::byte*>(v.data) + i * tensor::dtype_bytes(v.dtype);
}

/// Memory of Newton-Schulz on an [n, m] matrix, n <= m, whose products take operands of `dtype`.
struct Buffers {
  float* update;                      // [n, m], also the result
  float *a, *p;                       // [n, n]
  View x, y;                          // [n, m], dtype
  View left;                          // [n, n], dtype
  View rows_of_x, columns_of_x, a_b;  // packed
  std::int64_t bytes = 0;

  Buffers(std::byte* memory, std::int64_t n, std::int64_t m, DType dtype) {
    const auto take = [&](const tensor::Shape& shape, DType type) {
      const View v{memory == nullptr ? nullptr : memory + bytes, shape, type};
      bytes += round_up(v.bytes(), 64);
      return v;
    };
    update = take({n, m}, DType::kF32).f32();
    a = take({n, n}, DType::kF32).f32();
    p = take({n, n}, DType::kF32).f32();
    x = take({n, m}, dtype), y = take({n, m}, dtype);
    left = take({n, n}, dtype);
    rows_of_x = take(packed_forward_shape(n, m), dtype);
    columns_of_x = take(packed_backward_shape(n, m), dtype);
    a_b = take(packed_forward_shape(n, n), dtype);
  }
};

/// The type of the products: a row of bf16 pairs has an even length.
DType product_type(std::int64_t rows, std::int64_t columns, DType asked) {
  return rows % 2 == 0 && columns % 2 == 0 ? asked : DType::kF32;
}

/// Replaces b.update; P = a I + b A + c A A is summed in f32 and X is rounded once an iteration.
void newton_schulz(base::Context& ctx, Buffers& b, std::int64_t n, std::int64_t m) {
  const DType dtype = b.x.dtype;
  const auto scale_row = simd::kernels(ctx.isa).scale_row[dtype == DType::kBF16];
  const auto combine_row = simd::kernels(ctx.isa).combine;
  const auto scale = [&](const View& to, float by, const float* from, std::int64_t count) {
    for_chunks(ctx, count, kChunk, [&](std::int64_t i, std::int64_t end, int) {
      scale_row(element(to, i), by, from + i, end - i);
    });
  };
  const auto norm = static_cast<float>(std::sqrt(sum_of_squares(ctx, b.update, n * m)));
  scale(b.x, 1.0f / (norm + 1e-7f), b.update, n * m);
  for (int i = 0; i < kIterations; ++i) {
    pack_weight(ctx, b.x, b.rows_of_x, b.columns_of_x);
    const View a{b.a, {n, n}, DType::kF32}, p{b.p, {n, n}, DType::kF32};
    multiply(ctx, {.x = b.x, .b = b.rows_of_x, .y = a, .m = n, .n = n, .k = m, .ldx = m, .ldy = n});
    for_chunks(ctx, n, kTaskRows, [&](std::int64_t row, std::int64_t end, int) {
      for (; row < end; ++row) {
        const float* a_row = b.a + row * n;
        scale_row(element(b.left, row * n), kC, a_row, n);
        combine_row(b.p + row * n, kB, a_row, 0.0f, a_row, n);
        b.p[row * n + row] += kA;
      }
    });
    pack_weight(ctx, a, b.a_b, {});  // A is symmetric
    multiply(
        ctx,
        {.x = b.left, .b = b.a_b, .y = p, .m = n, .n = n, .k = n, .ldx = n, .ldy = n, .add = true});
    scale(b.left, 1.0f, b.p, n * n);
    const bool last = i + 1 == kIterations;
    multiply(ctx, {.x = b.left,
                   .b = b.columns_of_x,
                   .y = last ? View{b.update, {n, m}, DType::kF32} : b.y,
                   .m = n,
                   .n = m,
                   .k = n,
                   .ldx = n,
                   .ldy = m});
    std::swap(b.x, b.y);
  }
}

}  // namespace

std::int64_t muon_scratch(std::int64_t rows, std::int64_t columns, DType dtype) {
  const auto [n, m] = std::minmax(rows, columns);
  return Buffers(nullptr, n, m, product_type(rows, columns, dtype)).bytes;
}

void muon_step(base::Context& ctx, float* w, const float* g, float* buffer, std::int64_t rows,
               std::int64_t columns, const MuonOptions& o, std::byte* scratch) {
  const auto [n, m] = std::minmax(rows, columns);
  const std::int64_t count = rows * columns;
  Buffers b(scratch, n, m, product_type(rows, columns, o.dtype));
  const bool flip = rows > columns;
  // x and y lie side by side; what is turned over lies there before and after the iterations.
  float* update = flip ? reinterpret_cast<float*>(b.x.data) : b.update;
  combine(ctx, buffer, o.momentum, buffer, (1 - o.momentum) * o.grad_scale, g, count);
  if (o.nesterov) {
    combine(ctx, update, o.momentum, buffer, (1 - o.momentum) * o.grad_scale, g, count);
  } else {
    combine(ctx, update, 1.0f, buffer, 0.0f, buffer, count);
  }
  if (flip) transpose(ctx, update, b.update, rows, columns);
  newton_schulz(ctx, b, n, m);
  if (flip) transpose(ctx, b.update, update, columns, rows);
  const double ratio = static_cast<double>(rows) / static_cast<double>(columns);
  const auto scale = static_cast<float>(std::sqrt(std::max(1.0, ratio)));
  combine(ctx, w, 1.0f - o.lr * o.decay, w, -o.lr * scale, update, count);
}

}  // namespace belay::ops
