// Matrix products over chunks: how rows, columns and the reduction are cut. The cuts follow from
// the shapes alone; the order of every sum is that of GemmPanel (ops/simd/kernels.h), so a row of a
// product has the same bits whatever rows are beside it. Reference: docs/exactness.md.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "base/context.h"
#include "tensor/shape.h"

namespace belay::ops {

using tensor::DType;
using tensor::View;

/// Length of the blocks in which a reduction of k elements is summed: 512, or 1024 where k > 1024.
constexpr std::int64_t reduction_block(std::int64_t k) { return k <= 1024 ? 512 : 1024; }

/// Rows of a block in the sums of weight gradients.
constexpr std::int64_t kGradientBlock = 1024;

/// Shape of W[out, in] packed for `y = x W^T` (reduction along in) and for `dx = dy W` (along out).
/// Of a quantized type (ops/quantized.h) there is only the former.
tensor::Shape packed_forward_shape(std::int64_t out, std::int64_t in, DType dtype = DType::kF32);
tensor::Shape packed_backward_shape(std::int64_t out, std::int64_t in);

/// w: [out, in], f32 or already of the type of its two operands (either may be absent); F32 or BF16
/// (in even).
struct PackedWeight {
  View w, forward, backward;
};
/// Fills the operands from the weights.
void pack_weights(base::Context& ctx, std::span<const PackedWeight> weights);
inline void pack_weight(base::Context& ctx, const View& w, const View& forward,
                        const View& backward) {
  const PackedWeight one{w, forward, backward};
  pack_weights(ctx, {&one, 1});
}

/// Packs rows [first, first + n) of W[out, in] (n at most a panel of 64, `first` a multiple of it)
/// as they stand in `rows`: f32 or bf16 [n, in], or blocks of the type of `forward`.
void pack_panel(base::Isa isa, const View& rows, std::int64_t first, const View& forward);

/// y[M, N] = x[M, K] B (+ bias), B packed [N padded, K]. y has the type of x, or is f32, to which
/// the product may be added. ldx, ldy: row strides in elements (even for bf16 x). B is of the type
/// of x, or quantized (ops/quantized.h); then scratch is multiply_scratch() bytes.
struct Product {
  View x, b, y;
  std::int64_t m, n, k, ldx, ldy;
  const float* bias = nullptr;
  bool add = false;
  std::byte* scratch = nullptr;
};
void multiply(base::Context& ctx, const Product& p);
std::int64_t multiply_scratch(std::int64_t m, std::int64_t k, DType b);

/// dw[N, K] (+)= dy[M, N]^T x[M, K]: the sum runs over rows in order, in blocks of kGradientBlock.
/// `beside`: a product that is computed in the same loop as the packing of the first block.
struct OuterProduct {
  View dy, x, dw;  // dw: f32
  std::int64_t m, n, k, ld_dy, ldx;
  bool add = false;
  std::byte* scratch = nullptr;
};
void multiply_transposed(base::Context& ctx, const OuterProduct& p,
                         const Product* beside = nullptr);
std::int64_t multiply_transposed_scratch(std::int64_t m, std::int64_t k, DType dtype,
                                         int n_threads);

/// Cuts [0, n) into chunks of `chunk`; body(begin, end, worker).
template <class Body>
void for_chunks(base::Context& ctx, std::int64_t n, std::int64_t chunk, Body&& body) {
  ctx.threads.parallel((n + chunk - 1) / chunk, [&](std::int64_t i, int worker) {
    const std::int64_t begin = i * chunk;
    body(begin, begin + chunk < n ? begin + chunk : n, worker);
  });
}

/// The same for many ranges [0, counts(i)) at once, in one loop of the pool: body(i, begin, end).
template <class Counts, class Body>
void for_parts(base::Context& ctx, std::size_t n_parts, std::int64_t chunk, Counts&& counts,
               Body&& body) {
  std::int64_t chunks = 0;
  for (std::size_t i = 0; i < n_parts; ++i) chunks += (counts(i) + chunk - 1) / chunk;
  ctx.threads.parallel(chunks, [&](std::int64_t index, int) {
    std::size_t i = 0;
    for (std::int64_t n = 0; index >= (n = (counts(i) + chunk - 1) / chunk); ++i) index -= n;
    body(i, index * chunk, std::min((index + 1) * chunk, counts(i)));
  });
}

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }
constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }
constexpr int type_index(DType dtype) { return dtype == DType::kBF16 ? 1 : 0; }

}  // namespace belay::ops
