// The matrix product of one panel and the packing that feeds it. See GemmPanel in kernels.h.
#pragma once

#include "ops/simd/kernels.h"
#include "ops/simd/vec.h"

namespace belay::ops::simd::BELAY_ISA {

struct MaddF32 {
  BELAY_INLINE static F32x16 madd(F32x16 acc, Word16 a, Word16 b) {
    return fma(as_floats(a), as_floats(b), acc);
  }
};
struct MaddBf16 {
  BELAY_INLINE static F32x16 madd(F32x16 acc, Word16 a, Word16 b) { return dot_pairs(acc, a, b); }
};

// Vectors of columns that fit in registers beside kRowTile rows.
#if defined(__AVX512F__)
constexpr int kVectors = 4;
#else
constexpr int kVectors = 1;
#endif

/// Calls body(row, vector) for a tile, unrolled.
template <int MR, int NV, class Body>
BELAY_INLINE void each(Body body) {
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) body(r, v);
  }
}

/// acc = A B over k words: word (row, i) of A at a[row * a_row + i * a_step], of B at b[i * b_step
/// + column].
template <class Madd, int MR, int NV, bool kAsk = false>
BELAY_INLINE void product(const Word* a, Index a_row, Index a_step, const Word* b, Index b_step,
                          Index k, F32x16 (&acc)[MR][NV], Index ahead = 0) {
  each<MR, NV>([&](int r, int v) BELAY_LAMBDA { acc[r][v] = set1(0.0f); });
#pragma GCC unroll 1
  for (Index i = 0; i < k; ++i, a += a_step, b += b_step) {
    if constexpr (kAsk) ask_ahead(b, NV, ahead);
    Word16 bv[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) bv[v] = load_w(b + v * 16);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const Word16 av = set1_w(a[r * a_row]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[r][v] = Madd::madd(acc[r][v], av, bv[v]);
    }
  }
}

/// Stores one vector of the result; n columns of it are real.
BELAY_INLINE void put(const GemmPanel& g, Index row, Index column, F32x16 v, Index n) {
  if (g.bias != nullptr) v = add(v, load_n(g.bias + column, n));
  if (g.y != nullptr) {
    std::uint16_t* y = g.y + row * g.ldc + column;
    if (n >= 16)
      store_b(y, v);
    else
      store_b_n(y, v, n);
    return;
  }
  float* c = g.c + row * g.ldc + column;
  if (g.scale != nullptr) {
    v = fma(n >= 16 ? load(c) : load_n(c, n), set1(g.scale[row]), v);
  } else if (g.add) {
    v = add(n >= 16 ? load(c) : load_n(c, n), v);
  }
  if (n >= 16)
    store(c, v);
  else
    store_n(c, v, n);
}

/// Stores a tile; the common cases, whole and without bias, have straight loops.
template <int MR, int NV>
BELAY_INLINE void put_tile(const GemmPanel& g, Index row, Index column, F32x16 (&acc)[MR][NV]) {
  if (g.n - column < NV * 16 || g.bias != nullptr) {
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA {
      const Index at = column + v * 16;
      if (at < g.n) put(g, row + r, at, acc[r][v], g.n - at);
    });
    return;
  }
  if (g.y != nullptr) {
    std::uint16_t* y = g.y + row * g.ldc + column;
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA { store_b(y + r * g.ldc + v * 16, acc[r][v]); });
    return;
  }
  float* c = g.c + row * g.ldc + column;
  if (g.scale != nullptr) {
    const float* scale = g.scale + row;
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA {
      float* p = c + r * g.ldc + v * 16;
      store(p, fma(load(p), set1(scale[r]), acc[r][v]));
    });
  } else if (g.add) {
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA {
      float* p = c + r * g.ldc + v * 16;
      store(p, add(load(p), acc[r][v]));
    });
  } else {
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA { store(c + r * g.ldc + v * 16, acc[r][v]); });
  }
}

template <class Madd, int MR, int NV, bool kAsk = false>
void tile(const GemmPanel& g, Index row, Index column) {
  F32x16 acc[MR][NV];
  product<Madd, MR, NV, kAsk>(g.a + row * g.a_row, g.a_row, g.a_step, g.b + column, g.b_step, g.k,
                              acc, g.ahead);
  put_tile<MR, NV>(g, row, column, acc);
}

template <class Madd, int NV>
BELAY_INLINE void rows(const GemmPanel& g, Index column) {
  Index row = 0;
  for (; row + kRowTile <= g.m; row += kRowTile) tile<Madd, kRowTile, NV>(g, row, column);
  switch (g.m - row) {
    case 5: tile<Madd, 5, NV>(g, row, column); break;
    case 4: tile<Madd, 4, NV>(g, row, column); break;
    case 3: tile<Madd, 3, NV>(g, row, column); break;
    case 2: tile<Madd, 2, NV>(g, row, column); break;
    case 1: tile<Madd, 1, NV>(g, row, column); break;
    default: break;
  }
}

/// Whole panels that come from memory: the first rows bring them near, all columns at once, which
/// without AVX-512 has registers for one row.
template <class Madd>
BELAY_INLINE void stream_rows(const GemmPanel& g) {
  GemmPanel rest = g;
  const auto first = [&]<int MR>() BELAY_LAMBDA {
    g.ahead > 0 ? tile<Madd, MR, 4, true>(g, 0, 0) : tile<Madd, MR, 4, false>(g, 0, 0);
    rest.a += MR * g.a_row, rest.m -= MR;
    if (rest.c != nullptr) rest.c += MR * g.ldc;
    if (rest.y != nullptr) rest.y += MR * g.ldc;
    if (rest.scale != nullptr) rest.scale += MR;
  };
  if constexpr (kVectors == 1) {
    first.template operator()<1>();
  } else {
    switch (g.m) {
      case 1: first.template operator()<1>(); break;
      case 2: first.template operator()<2>(); break;
      case 3: first.template operator()<3>(); break;
      case 4: first.template operator()<4>(); break;
      case 5: first.template operator()<5>(); break;
      default: first.template operator()<6>(); break;
    }
  }
  for (Index column = 0; rest.m > 0 && column < kPanel; column += 16 * kVectors) {
    rows<Madd, kVectors>(rest, column);
  }
}

/// C (+)= A B, the sum over all of k from zero.
template <class Madd>
void gemm_block(const GemmPanel& g) {
  if (g.stream && g.n == kPanel) return stream_rows<Madd>(g);
  Index column = 0;
  if constexpr (kVectors == 4) {
    for (; g.n - column > 48; column += 64) rows<Madd, 4>(g, column);
    if (g.n - column > 32) return rows<Madd, 3>(g, column);
    if (g.n - column > 16) return rows<Madd, 2>(g, column);
  }
  for (; column < g.n; column += 16) rows<Madd, 1>(g, column);
}

/// Blocks of k outside, rows inside, so that what all rows read of B stays near; kBlock multiplies
/// one block.
template <void (*kBlock)(const GemmPanel&)>
void gemm_panel(const GemmPanel& g) {
  if (g.k <= g.k_block) return kBlock(g);
  constexpr Index kSumRows = 96;
  alignas(64) float sums[kSumRows][kPanel];
  for (Index row = 0; row < g.m; row += kSumRows) {
    GemmPanel part{};
    part.a_row = g.a_row, part.a_step = g.a_step, part.b_step = g.b_step;
    part.m = g.m - row < kSumRows ? g.m - row : kSumRows, part.n = g.n;
    part.c = sums[0], part.ldc = kPanel, part.stream = g.stream, part.ahead = g.ahead;
    for (Index k = 0; k < g.k; k += g.k_block) {
      part.a = g.a + row * g.a_row + k * g.a_step, part.b = g.b + k * g.b_step;
      part.k = part.k_block = g.k - k < g.k_block ? g.k - k : g.k_block;
      part.add = k > 0;
      kBlock(part);
    }
    for (Index r = 0; r < part.m; ++r) {
      for (Index c = 0; c < g.n; c += 16) put(g, row + r, c, load(sums[r] + c), g.n - c);
    }
  }
}

/// kPanels panels side by side: memory brings several streams faster than one. The same sums.
template <class Madd, int MR, int kPanels>
void side_by_side(const GemmPanel& g, Index panel) {
  constexpr int kAcross = 4 * kPanels;
  alignas(64) float sums[MR][kPanels * kPanel];
  const Word *a = g.a, *b = g.b + panel * g.next;
  const Index a_row = g.a_row, a_step = g.a_step, b_step = g.b_step, next = g.next;
  for (Index from = 0; from < g.k; from += g.k_block) {
    const Index end = g.k - from < g.k_block ? g.k : from + g.k_block;
    F32x16 acc[MR][kAcross];
    each<MR, kAcross>([&](int r, int v) BELAY_LAMBDA { acc[r][v] = set1(0.0f); });
#pragma GCC unroll 1
    for (Index i = from; i < end; ++i, a += a_step, b += b_step) {
#pragma GCC unroll 16
      for (int v = 0; v < kAcross; ++v) {
        const Word16 bv = load_w(b + v / 4 * next + v % 4 * 16);
#pragma GCC unroll 4
        for (int r = 0; r < MR; ++r) acc[r][v] = Madd::madd(acc[r][v], set1_w(a[r * a_row]), bv);
      }
    }
    each<MR, kAcross>([&](int r, int v) BELAY_LAMBDA {
      float* sum = sums[r] + v * 16;
      store(sum, from == 0 ? acc[r][v] : add(load(sum), acc[r][v]));
    });
  }
  for (Index r = 0; r < MR; ++r) {
    for (Index c = 0; c < kPanels * kPanel && panel * kPanel + c < g.n; c += 16) {
      put(g, r, panel * kPanel + c, load(sums[r] + c), g.n - panel * kPanel - c);
    }
  }
}

template <class Madd>
void gemm(const GemmPanel& g) {
  if (g.panels == 1) return gemm_panel<gemm_block<Madd>>(g);
  Index panel = 0;
  if constexpr (kVectors == 4) {
    for (; g.m == 1 && panel + 4 <= g.panels; panel += 4) side_by_side<Madd, 1, 4>(g, panel);
    for (; g.m == 2 && panel + 2 <= g.panels; panel += 2) side_by_side<Madd, 2, 2>(g, panel);
    for (; g.m == 3 && panel + 2 <= g.panels; panel += 2) side_by_side<Madd, 3, 2>(g, panel);
  }
  for (; panel < g.panels; ++panel) {
    GemmPanel one = g;
    const Index column = panel * kPanel;
    one.panels = 1, one.b += panel * g.next;
    one.n = g.n - column < kPanel ? g.n - column : kPanel;
    if (g.bias != nullptr) one.bias += column;
    if (g.c != nullptr) one.c += column;
    if (g.y != nullptr) one.y += column;
    gemm_panel<gemm_block<Madd>>(one);
  }
}

/// MR rows of an outer product, from row `row` of a tile of eight.
template <class Madd, int MR, int NV>
BELAY_INLINE void outer_rows(const OuterPanel& g, const Word* a, Index row, Index column) {
  F32x16 acc[MR][NV];
  product<Madd, MR, NV>(a, 1, kOuterRows, g.b + column, kOuterPanel, g.k, acc);
  float* c = g.c + row * g.ldc + column;
  if (row + MR <= g.m && column + NV * 16 <= g.n) {
    if (g.add) {
      each<MR, NV>([&](int r, int v)
                       BELAY_LAMBDA { acc[r][v] = add(load(c + r * g.ldc + v * 16), acc[r][v]); });
    }
    each<MR, NV>([&](int r, int v) BELAY_LAMBDA { store(c + r * g.ldc + v * 16, acc[r][v]); });
    return;
  }
  each<MR, NV>([&](int r, int v) BELAY_LAMBDA {
    const Index left = g.n - column - v * 16;
    if (row + r >= g.m || left <= 0) return;
    float* p = c + r * g.ldc + v * 16;
    store_n(p, g.add ? add(load_n(p, left), acc[r][v]) : acc[r][v], left);
  });
}

template <class Madd>
void outer_panel(const OuterPanel& g) {
  const Word* a = g.a;
  for (Index row = 0; row < g.m; row += kOuterRows, a += g.a_tile) {
    if constexpr (kVectors == 4) {
      if (g.n > 32) {
        outer_rows<Madd, 8, 3>(g, a, row, 0);
      } else if (g.n > 16) {
        outer_rows<Madd, 8, 2>(g, a, row, 0);
      } else {
        outer_rows<Madd, 8, 1>(g, a, row, 0);
      }
    } else {
      for (Index column = 0; column < g.n; column += 16) {
        outer_rows<Madd, 4, 1>(g, a, row, column);
        outer_rows<Madd, 4, 1>(g, a + 4, row + 4, column);
      }
    }
  }
}

// Loading sixteen words of a row of the source, in the word type of the destination.
struct SourceF32 {
  using Element = float;
  static constexpr Index kPair = 1;
  BELAY_INLINE static Word16 along(const float* p, Index n) {
    return as_words(n >= 16 ? load(p) : load_n(p, n));
  }
  BELAY_INLINE static Word16 down(const float* p, const float*, Index n) { return along(p, n); }
};
struct SourceBf16 {
  using Element = std::uint16_t;
  static constexpr Index kPair = 2;
  BELAY_INLINE static Word16 along(const std::uint16_t* p, Index n) {
    const auto* w = reinterpret_cast<const Word*>(p);
    return n >= 16 ? load_w(w) : load_w_n(w, n);
  }
  BELAY_INLINE static Word16 down(const std::uint16_t* p, const std::uint16_t* q, Index n) {
    if (n >= 16 && q != nullptr) return pair_rows(p, q);
    std::uint16_t low[16] = {}, high[16] = {};
    for (Index i = 0; i < n && i < 16; ++i) {
      low[i] = p[i];
      high[i] = q != nullptr ? q[i] : std::uint16_t{0};
    }
    return pair_rows(low, high);
  }
};
struct SourceToBf16 {
  using Element = float;
  static constexpr Index kPair = 2;
  BELAY_INLINE static Word16 along(const float* p, Index n) {
#if defined(__AVX512F__)
    if (n >= 16) return narrow_words(load(p), load(p + 16));
#endif
    float both[32], even[16], odd[16];
    for (Index i = 0; i < 32; ++i) both[i] = i < 2 * n ? p[i] : 0.0f;
    for (Index i = 0; i < 16; ++i) {
      even[i] = both[2 * i];
      odd[i] = both[2 * i + 1];
    }
    return pair_words(load(even), load(odd));
  }
  BELAY_INLINE static Word16 down(const float* p, const float* q, Index n) {
    return pair_words(load_n(p, n), q != nullptr ? load_n(q, n) : set1(0.0f));
  }
};

template <class Source>
void pack_columns(Word* dst, Index step, const typename Source::Element* src, Index ld, Index k,
                  Index n) {
  for (Index i = 0; i < k; i += Source::kPair, dst += step) {
    const auto* p = src + i * ld;
    const auto* q = Source::kPair == 2 && i + 1 < k ? p + ld : nullptr;
    for (Index c = 0; c < n; c += 16) {
      store_w(dst + c, Source::down(p + c, q == nullptr ? nullptr : q + c, n - c));
    }
  }
}

/// Strips of kRows rows of src [k, n], 16 columns at a time: body(row, column). Lines of rows far
/// apart start no prefetcher, so those of the next strips are asked for here.
template <Index kRows, class T, class Body>
BELAY_INLINE void each_strip(const T* src, Index ld, Index k, Index n, Body body) {
  constexpr Index kAhead = 32;
  for (Index row = 0; row < k; row += kRows) {
    for (Index c = 0; c < n; c += 16) {
      const bool new_line = c % (64 / static_cast<Index>(sizeof(T))) == 0;
      for (Index r = row + kAhead; new_line && r < row + kAhead + kRows && r < k; ++r) {
        __builtin_prefetch(src + r * ld + c, 0, 2);
      }
      body(row, c);
    }
  }
}

template <class Source>
void pack_tiles(Word* dst, Index stride, const typename Source::Element* src, Index ld, Index k,
                Index n) {
  constexpr Index kRows = 8;
  each_strip<kRows>(src, ld, k, n, [&](Index row, Index c) BELAY_LAMBDA {
    Word* to = dst + c / kOuterRows * stride + row / Source::kPair * kOuterRows;
    for (Index i = row; i < k && i < row + kRows; i += Source::kPair, to += kOuterRows) {
      const auto* p = src + i * ld + c;
      const auto* q = Source::kPair == 2 && i + 1 < k ? p + ld : nullptr;
      Word none[kOuterRows];  // of a tile that is not there
      store_w_apart(to, n - c > kOuterRows ? to + stride : none, Source::down(p, q, n - c));
    }
  });
}

#if defined(__AVX512F__)
/// Transposes sixteen vectors of sixteen words.
BELAY_INLINE void transpose(Word16 (&r)[16]) {
  Word16 t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}
#else
BELAY_INLINE void transpose(Word16 (&r)[16]) {
  Word in[16][16], out[16][16];
  for (int i = 0; i < 16; ++i) store_w(in[i], r[i]);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) out[j][i] = in[i][j];
  }
  for (int i = 0; i < 16; ++i) r[i] = load_w(out[i]);
}
#endif

template <class Source>
void pack_rows(Word* dst, Index step, const typename Source::Element* src, Index ld, Index k,
               Index n) {
  const Index words = (k + Source::kPair - 1) / Source::kPair;
  for (Index c = 0; c < n; c += 16) {
    for (Index w = 0; w < words; w += 16) {
      Word16 r[16];
#pragma GCC unroll 16
      for (Index i = 0; i < 16; ++i) {
        r[i] = c + i < n ? Source::along(src + (c + i) * ld + w * Source::kPair, words - w)
                         : set1_w(0);
      }
      transpose(r);
      const Index m = words - w < 16 ? words - w : 16;
      for (Index i = 0; i < m; ++i) store_w(dst + (w + i) * step + c, r[i]);
    }
  }
}

}  // namespace belay::ops::simd::BELAY_ISA
