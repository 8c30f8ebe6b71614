// Weights of 8 and 4 bits (tensor/dtype.h: groups of 32 along a row with one scale), from rows of
// blocks to the panels that products read, and the products themselves.
//
// y = x W^T with quantized W: a row of x is quantized to 8 bits in the same groups, alone, each by
// its largest number (simd::QuantizeRows). The dot product of a group is a whole number and exact;
// y = fma(dot, weight scale * activation scale, y) over the groups, ascending, from zero; a bias is
// added last. The same bits on every instruction set, for any rows and threads.
#pragma once

#include <algorithm>
#include <cmath>

#include "ops/matmul.h"

namespace belay::ops {

/// Packs `rows` rows of blocks (at most simd::kPanel), `in` weights each, as panel `panel` of `to`:
/// packed_shape(out, in, to.dtype).
void pack_blocks(const std::byte* blocks, std::int64_t rows, std::int64_t in, const View& to,
                 std::int64_t panel);

/// Row `row` of a packed matrix of any type as `in` floats: what its products multiply by.
void unpack_row(const View& packed, std::int64_t row, std::int64_t in, float* to);

/// Rounds n weights to blocks of kQ8 (scale: the largest / 127) or kQ4, whose scale is the one of a
/// few tried with the least sum of squared errors.
void quantize_row(base::Isa isa, const float* x, std::int64_t n, DType dtype, std::byte* blocks);
void dequantize_row(const std::byte* blocks, std::int64_t n, DType dtype, float* to);

/// Rows of activations, quantized: in the scratch of a product, as simd::QuantizeRows writes them.
struct QuantizedRows {
  std::int8_t* codes;
  float* scale;
  std::int32_t* sum;
  std::int64_t groups;
};
std::int64_t quantized_rows_bytes(std::int64_t rows, std::int64_t width);
/// x: m rows of k numbers, ldx apart.
QuantizedRows quantize_rows(base::Context& ctx, const View& x, std::int64_t m, std::int64_t k,
                            std::int64_t ldx, std::byte* scratch);

/// The slow twin of one row, of dequantized weights [out, in]. What is rounded to whole numbers is
/// computed in float, lest another rounding of a number halfway looks like an error.
inline void quantized_linear_reference(const float* x, const float* w, double* y, std::int64_t in,
                                       std::int64_t out) {
  std::fill_n(y, out, 0.0);
  for (std::int64_t first = 0; first < in; first += tensor::kQuantGroup) {
    const std::int64_t end = std::min(in, first + tensor::kQuantGroup);
    float largest = 0;
    for (std::int64_t i = first; i < end; ++i) largest = std::max(largest, std::abs(x[i]));
    for (std::int64_t i = first; i < end && largest > 1e-30f; ++i) {
      const double code = std::nearbyint(x[i] * (127.0f / largest));
      const double value = code * static_cast<double>(largest) / 127;
      for (std::int64_t o = 0; o < out; ++o) y[o] += value * static_cast<double>(w[o * in + i]);
    }
  }
}

}  // namespace belay::ops
