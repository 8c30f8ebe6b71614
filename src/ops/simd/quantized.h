// Products of quantized weights and activations on vectors. See QuantPanel in kernels.h.
#pragma once

#include "ops/simd/gemm.h"
#include "ops/simd/kernels.h"
#include "ops/simd/rows.h"
#include "ops/simd/vec.h"

namespace belay::ops::simd::BELAY_ISA {

constexpr Index kGroupWords = kQuantGroup / 4;

/// The codes of a group of sixteen columns, as unsigned words: kOffset is what was added to each.
struct Codes8 {
  static constexpr std::int32_t kOffset = 128;
  static constexpr Index kBytes = 16 * kQuantGroup;
  BELAY_INLINE static void load(const std::byte* p, Word16 (&w)[kGroupWords]) {
    const auto* words = reinterpret_cast<const Word*>(p);
#pragma GCC unroll 8
    for (int i = 0; i < kGroupWords; ++i) w[i] = xor_w(load_w(words + 16 * i), set1_w(0x80808080u));
  }
};
struct Codes4 {
  static constexpr std::int32_t kOffset = 8;
  static constexpr Index kBytes = 16 * kQuantGroup / 2;
  BELAY_INLINE static void load(const std::byte* p, Word16 (&w)[kGroupWords]) {
    const auto* words = reinterpret_cast<const Word*>(p);
    const Word16 half = set1_w(0x0f0f0f0fu);
#pragma GCC unroll 4
    for (int i = 0; i < kGroupWords / 2; ++i) {
      const Word16 both = load_w(words + 16 * i);
      w[i] = and_w(both, half);
      w[i + kGroupWords / 2] = and_w(shift_right4(both), half);
    }
  }
};

/// Bytes of a group of a panel: scales and codes.
template <class Codes>
constexpr Index panel_group_bytes() {
  return kScaleBytes + kPanel / 16 * Codes::kBytes;
}

BELAY_INLINE std::uint32_t word_at(const std::int8_t* p) {
  std::uint32_t w;
  __builtin_memcpy(&w, p, sizeof w);
  return w;
}

/// One vector of results.
BELAY_INLINE void put(const QuantPanel& p, Index row, Index column, F32x16 v) {
  GemmPanel to{};
  to.bias = p.bias, to.c = p.c, to.y = p.y, to.ldc = p.ldc, to.add = p.add;
  if (column < p.n) put(to, row, column, v, p.n - column);
}

/// kRows rows of kPanels panels, from panel `panel`. The first ones bring B near.
template <class Codes, int kRows, bool kStream, int kPanels = 1>
void quant_rows(const QuantPanel& p, Index row, Index panel = 0) {
  constexpr int kAcross = kPanels * kPanel / 16;
  F32x16 acc[kRows][kAcross];
  each<kRows, kAcross>([&](int r, int v) BELAY_LAMBDA { acc[r][v] = set1(0.0f); });
  const std::int8_t* a = p.a + row * p.groups * kQuantGroup;
  const Index rows_at = row / 16 * 16 * p.groups + row % 16;  // kRows never cross sixteen
  const float* scale = p.a_scale + rows_at;
  const std::int32_t* sum = p.a_sum + rows_at;
  const std::byte* b = p.b + panel * p.next;
  for (Index g = 0; g < p.groups; ++g, a += kQuantGroup, b += panel_group_bytes<Codes>()) {
#pragma GCC unroll 8
    for (int v = 0; v < kAcross; ++v) {
      constexpr Index kPart = panel_group_bytes<Codes>() / 4;
      const std::byte* group = b + v / 4 * p.next;
      if constexpr (kStream) ask_ahead(group + v % 4 * kPart, kPart / 64 + 1, p.ahead);
      Word16 w[kGroupWords];
      Codes::load(group + kScaleBytes + v % 4 * Codes::kBytes, w);
      const F32x16 b_scale = load_h(reinterpret_cast<const std::uint16_t*>(group) + v % 4 * 16);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const std::int8_t* x = a + r * p.groups * kQuantGroup;
        const Index at = g * 16 + r;
        Word16 low = set1_w(static_cast<std::uint32_t>(-Codes::kOffset * sum[at]));
        Word16 high = set1_w(0);
#pragma GCC unroll 4
        for (int i = 0; i < kGroupWords / 2; ++i) {
          low = dot_bytes(low, w[i], set1_w(word_at(x + 4 * i)));
          high =
              dot_bytes(high, w[i + kGroupWords / 2], set1_w(word_at(x + 4 * i + kQuantGroup / 2)));
        }
        acc[r][v] = fma(to_floats(add_w(low, high)), mul(b_scale, set1(scale[at])), acc[r][v]);
      }
    }
  }
  each<kRows, kAcross>([&](int r, int v)
                           BELAY_LAMBDA { put(p, row + r, panel * kPanel + 16 * v, acc[r][v]); });
}

template <class Codes>
void quant_panel(const QuantPanel& p, Index panel) {
#if defined(__AVX512F__)
  constexpr int kMost = 4;
#else
  constexpr int kMost = 1;
#endif
  Index row = p.m < kMost ? p.m : kMost;
  switch (row) {
    case 1: quant_rows<Codes, 1, true>(p, 0, panel); break;
    case 2: quant_rows<Codes, 2, true>(p, 0, panel); break;
    case 3: quant_rows<Codes, 3, true>(p, 0, panel); break;
    default: quant_rows<Codes, 4, true>(p, 0, panel); break;
  }
  for (; row + kMost <= p.m; row += kMost) quant_rows<Codes, kMost, false>(p, row, panel);
  for (; row < p.m; ++row) quant_rows<Codes, 1, false>(p, row, panel);
}

template <class Codes>
void quant_panels(const QuantPanel& p) {
  Index panel = 0;
#if defined(__AVX512F__)
  for (; p.m == 1 && panel + 2 <= p.panels; panel += 2) quant_rows<Codes, 1, true, 2>(p, 0, panel);
  for (; p.m == 2 && panel + 2 <= p.panels; panel += 2) quant_rows<Codes, 2, true, 2>(p, 0, panel);
#endif
  for (; panel < p.panels; ++panel) quant_panel<Codes>(p, panel);
}

/// Quantizes one group of n numbers, n at most kQuantGroup.
template <class E>
BELAY_INLINE void quantize_group(const typename E::T* x, Index n, std::int8_t* codes, float& scale,
                                 std::int32_t& sum) {
  const F32x16 zero = set1(0.0f);
  const F32x16 v[2] = {E::get(x, n), n > 16 ? E::get(x + 16, n - 16) : zero};
  const auto size = [&](int i) BELAY_LAMBDA { return max(v[i], sub(zero, v[i])); };
  const float largest = reduce_max(max(size(0), size(1)));
  // Not a number where one is not finite.
  const float poison = reduce_add(fma(v[0], zero, mul(v[1], zero)));
  const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
  F32x16 total = zero;
  for (int i = 0; i < 2; ++i) {
    const F32x16 whole = max(min(round(mul(v[i], set1(inverse))), set1(127.0f)), set1(-127.0f));
    store_bytes(codes + 16 * i, whole);
    total = add(total, whole);
  }
  scale = largest / 127.0f + poison;
  sum = static_cast<std::int32_t>(reduce_add(total));
}

template <class E>
void quantize_rows(const QuantizeRows& q) {
  const Index groups = (q.width + kQuantGroup - 1) / kQuantGroup;
  for (Index row = q.first; row < q.first + q.rows; ++row) {
    const auto* x = static_cast<const typename E::T*>(q.x) + row * q.ld;
    for (Index g = 0; g < groups; ++g) {
      const Index at = (row / 16 * groups + g) * 16 + row % 16, left = q.width - g * kQuantGroup;
      quantize_group<E>(x + g * kQuantGroup, left < kQuantGroup ? left : kQuantGroup,
                        q.codes + (row * groups + g) * kQuantGroup, q.scale[at], q.sum[at]);
    }
  }
}

/// The number of largest size becomes -8, or near it; of each such way to round, the best scale is
/// known, sum(x code) / sum(code^2), and what it leaves of the sum of squares is compared.
inline float search_scale(const float* x) {
  const F32x16 v[2] = {load(x), load(x + 16)};
  const F32x16 zero = set1(0.0f);
  const float most = reduce_max(max(v[0], v[1]));
  const float least = reduce_max(max(sub(zero, v[0]), sub(zero, v[1])));
  const float extreme = most >= least ? most : -least;
  float best = -1, scale = 0;
  if (extreme == 0) return 0;
  for (int step = -9; step <= 9; ++step) {
    const F32x16 inverse = set1((-8.0f - 0.1f * static_cast<float>(step)) / extreme);
    const auto code = [&](int i) BELAY_LAMBDA {
      return max(min(round(mul(v[i], inverse)), set1(7.0f)), set1(-8.0f));
    };
    const F32x16 low = code(0), high = code(1);
    const float dot = reduce_add(fma(v[1], high, mul(v[0], low)));
    const float square = reduce_add(fma(high, high, mul(low, low)));
    if (!(square > 0) || !(dot * dot > best * square)) continue;
    best = dot * dot / square;
    scale = dot / square;
  }
  return scale;
}

}  // namespace belay::ops::simd::BELAY_ISA
