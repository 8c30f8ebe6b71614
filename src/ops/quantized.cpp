#include "ops/quantized.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/status.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

using simd::kPanel;
using simd::kScaleBytes;
using tensor::kQuantGroup;

constexpr std::int64_t kGroupWords = kQuantGroup / 4;
constexpr std::int64_t kRowsAtOnce = 8;          // of activations, a task
constexpr std::int64_t kFewNumbers = 32 * 1024;  // quantized faster than another thread wakes
constexpr float kMostScale = 65504;              // that half precision holds

/// Words of four bytes that a column of sixteen has in a group.
std::int64_t words_of(DType dtype) { return dtype == DType::kQ8 ? kGroupWords : kGroupWords / 2; }

/// Where the codes of a column begin in a group of a panel; its words are 64 bytes apart.
std::int64_t codes_at(DType dtype, std::int64_t column) {
  return kScaleBytes + column / 16 * words_of(dtype) * 64 + column % 16 * 4;
}

std::uint16_t half_at(const std::byte* p) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

std::int32_t code_of(const std::byte* codes, std::int64_t i, DType dtype) {
  if (dtype == DType::kQ8) return static_cast<std::int8_t>(codes[i]);
  const auto both = std::to_integer<std::int32_t>(codes[i % 16]);
  return (i < 16 ? both & 15 : both >> 4) - 8;
}

/// One group: the scale that its codes are multiplied by, and the codes nearest to x under it.
using Group = std::array<float, kQuantGroup>;

/// To nearest, ties to even.
std::int32_t nearest_code(float x, float inverse, float least, float most) {
  constexpr float kToWhole = 0x1.8p23f;
  return static_cast<std::int32_t>(std::clamp(x * inverse, least, most) + kToWhole - kToWhole);
}

float inverse_of(float scale) { return scale == 0 ? 0 : 1 / scale; }

void quantize_group(const simd::Kernels& k, const Group& x, DType dtype, std::byte* block) {
  float scale = 0;
  if (dtype == DType::kQ8) {
    for (const float v : x) scale = std::max(scale, std::abs(v) / 127);
  } else {
    scale = k.search_scale(x.data());
  }
  const std::uint16_t half = tensor::to_half(std::clamp(scale, -kMostScale, kMostScale));
  std::memcpy(block, &half, sizeof half);
  const float inverse = inverse_of(tensor::half_to_float(half));
  std::byte* codes = block + sizeof half;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (dtype == DType::kQ8) {
      codes[i] = static_cast<std::byte>(nearest_code(x[i], inverse, -127, 127));
    } else if (i < 16) {
      const std::int32_t low = nearest_code(x[i], inverse, -8, 7) + 8;
      const std::int32_t high = nearest_code(x[i + 16], inverse, -8, 7) + 8;
      codes[i] = static_cast<std::byte>(low | high << 4);
    }
  }
}

void unpack_quantized(const View& packed, std::int64_t row, std::int64_t in, float* to) {
  const std::int64_t group = kPanel * tensor::group_bytes(packed.dtype), column = row % kPanel;
  const std::int64_t panel = packed.shape[1] / kQuantGroup * group;
  const std::byte* from = static_cast<const std::byte*>(packed.data) + row / kPanel * panel;
  for (std::int64_t first = 0; first < in; first += kQuantGroup, from += group) {
    std::array<std::byte, kQuantGroup> codes{};
    for (std::int64_t w = 0; w < words_of(packed.dtype); ++w) {
      std::memcpy(codes.data() + 4 * w, from + codes_at(packed.dtype, column) + 64 * w, 4);
    }
    const float scale = tensor::half_to_float(half_at(from + 2 * column));
    for (std::int64_t i = 0; i < std::min(kQuantGroup, in - first); ++i) {
      to[first + i] = scale * static_cast<float>(code_of(codes.data(), i, packed.dtype));
    }
  }
}

}  // namespace

void pack_blocks(const std::byte* blocks, std::int64_t rows, std::int64_t in, const View& to,
                 std::int64_t panel) {
  const std::int64_t groups = to.shape[1] / kQuantGroup, block = tensor::group_bytes(to.dtype);
  BELAY_CHECK(rows <= kPanel && groups == ceil_div(in, kQuantGroup), "one panel of rows");
  std::byte* out = static_cast<std::byte*>(to.data) + panel * groups * kPanel * block;
  for (std::int64_t g = 0; g < groups; ++g, out += kPanel * block) {
    if (rows < kPanel) std::memset(out, 0, static_cast<std::size_t>(kPanel * block));
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::byte* from = blocks + (r * groups + g) * block;
      std::memcpy(out + 2 * r, from, 2);
      std::byte* codes = out + codes_at(to.dtype, r);
      for (std::int64_t w = 0; w < words_of(to.dtype); ++w) {
        std::memcpy(codes + 64 * w, from + 2 + 4 * w, 4);
      }
    }
  }
}

void unpack_row(const View& packed, std::int64_t row, std::int64_t in, float* to) {
  if (tensor::is_quantized(packed.dtype)) return unpack_quantized(packed, row, in, to);
  const std::int64_t panel = row / kPanel * kPanel * packed.shape[1], column = row % kPanel;
  if (packed.dtype == DType::kF32) {
    const float* from = packed.f32() + panel + column;
    for (std::int64_t i = 0; i < in; ++i) to[i] = from[i * kPanel];
    return;
  }
  const tensor::bf16* from = packed.b16() + panel + 2 * column;  // pairs of numbers
  for (std::int64_t i = 0; i < in; ++i) {
    to[i] = tensor::to_float(from[i / 2 * 2 * kPanel + i % 2]);
  }
}

void quantize_row(base::Isa isa, const float* x, std::int64_t n, DType dtype, std::byte* blocks) {
  const simd::Kernels& k = simd::kernels(isa);
  for (std::int64_t first = 0; first < n; first += kQuantGroup) {
    Group values{};
    const std::int64_t count = std::min(kQuantGroup, n - first);
    std::copy_n(x + first, count, values.begin());
    quantize_group(k, values, dtype, blocks);
    blocks += tensor::group_bytes(dtype);
  }
}

void dequantize_row(const std::byte* blocks, std::int64_t n, DType dtype, float* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::byte* block = blocks + i / kQuantGroup * tensor::group_bytes(dtype);
    to[i] = tensor::half_to_float(half_at(block)) *
            static_cast<float>(code_of(block + 2, i % kQuantGroup, dtype));
  }
}

std::int64_t quantized_rows_bytes(std::int64_t rows, std::int64_t width) {
  return ceil_div(width, kQuantGroup) * round_up(rows, 16) * (kQuantGroup + 8);
}

QuantizedRows quantize_rows(base::Context& ctx, const View& x, std::int64_t m, std::int64_t k,
                            std::int64_t ldx, std::byte* scratch) {
  const auto run = simd::kernels(ctx.isa).quantize_rows[type_index(x.dtype)];
  QuantizedRows q{};
  q.groups = ceil_div(k, kQuantGroup);
  q.codes = reinterpret_cast<std::int8_t*>(scratch);
  const std::int64_t room = round_up(m, 16) * q.groups;
  q.scale = reinterpret_cast<float*>(scratch + room * kQuantGroup);
  q.sum = reinterpret_cast<std::int32_t*>(q.scale + room);
  const auto rows = [&](std::int64_t begin, std::int64_t end) {
    run({.x = x.data,
         .ld = ldx,
         .codes = q.codes,
         .scale = q.scale,
         .sum = q.sum,
         .first = begin,
         .rows = end - begin,
         .width = k});
  };
  // Rows that are computed in vain have scales of zero: what lies there could be subnormal, and
  // slow.
  for (std::int64_t row = m; row < round_up(m, 16); ++row) {
    for (std::int64_t g = 0; g < q.groups; ++g) {
      q.scale[(row / 16 * q.groups + g) * 16 + row % 16] = 0;
    }
  }
  if (m * k <= kFewNumbers) {
    rows(0, m);
  } else {
    for_chunks(ctx, m, kRowsAtOnce,
               [&](std::int64_t begin, std::int64_t end, int) { rows(begin, end); });
  }
  return q;
}

}  // namespace belay::ops
