// Products of up to 16 rows on tiles: all columns of a panel at once, so that it passes once, in
// order. Sums in tiles 0 to 3, A in 4, B in 5 to 7.
#pragma once

#include "ops/simd/amx_tiles.h"

namespace belay::ops::simd::BELAY_ISA::tiles {

constexpr Index kTileAhead = 3072;  // bytes by which lines are asked for before

struct alignas(64) FewTail {
  Word a[kTile][kTile];
  Word b[kTile][kPanel];
};

/// Where the next lines are asked for: a few after each load of a tile, for many at once would
/// hold up the loads.
template <int kWide>
BELAY_INLINE void few_step(const Word* a, Index a_row, const Word* b, Index b_row) {
  const auto ahead = [&](int part) BELAY_LAMBDA {
    ask_ahead(b + part * kTile * kTile, kTile * kWordBytes * kTile / 64, kTileAhead);
  };
  _tile_loadd(4, a, a_row * kWordBytes);
  _tile_loadd(5, b, b_row * kWordBytes);
  ahead(0);
  _tile_dpbf16ps(0, 4, 5);
  if constexpr (kWide > 1) {
    _tile_loadd(6, b + kTile, b_row * kWordBytes);
    ahead(1);
    _tile_dpbf16ps(1, 4, 6);
  }
  if constexpr (kWide > 2) {
    _tile_loadd(7, b + 2 * kTile, b_row * kWordBytes);
    ahead(2);
    _tile_dpbf16ps(2, 4, 7);
  }
  if constexpr (kWide > 3) {
    _tile_loadd(5, b + 3 * kTile, b_row * kWordBytes);
    ahead(3);
    _tile_dpbf16ps(3, 4, 5);
  }
}

/// sum[m][kWide * kTile] = the product over words [w, end).
template <int kWide>
BELAY_INLINE void few_block(const GemmPanel& g, Index w, Index end, float (*sum)[kPanel]) {
  memory_barrier();
  _tile_zero(0);
  if constexpr (kWide > 1) _tile_zero(1);
  if constexpr (kWide > 2) _tile_zero(2);
  if constexpr (kWide > 3) _tile_zero(3);
  for (; w + kTile <= end; w += kTile) {
    const Word* b = g.b + w * g.b_step;
    few_step<kWide>(g.a + w, g.a_row, b, g.b_step);
  }
  if (w < end) {
    FewTail tail;
    for (Index r = 0; r < g.m; ++r) store_w(tail.a[r], load_w_n(g.a + r * g.a_row + w, end - w));
    for (Index i = 0; i < kTile; ++i) {
      for (Index c = 0; c < kWide * kTile; c += kTile) {
        store_w(tail.b[i] + c, w + i < end ? load_w(g.b + (w + i) * g.b_step + c) : set1_w(0));
      }
    }
    memory_barrier();
    few_step<kWide>(tail.a[0], kTile, tail.b[0], kPanel);
  }
  _tile_stored(0, sum[0], kPanel * kWordBytes);
  if constexpr (kWide > 1) _tile_stored(1, sum[0] + kTile, kPanel * kWordBytes);
  if constexpr (kWide > 2) _tile_stored(2, sum[0] + 2 * kTile, kPanel * kWordBytes);
  if constexpr (kWide > 3) _tile_stored(3, sum[0] + 3 * kTile, kPanel * kWordBytes);
  memory_barrier();
}

template <int kWide>
void few_rows(const GemmPanel& g) {
  alignas(64) float total[kTile][kPanel], sum[kTile][kPanel];
  for (Index w = 0; w < g.k; w += g.k_block) {
    few_block<kWide>(g, w, g.k - w < g.k_block ? g.k : w + g.k_block, w == 0 ? total : sum);
    for (Index r = 0; w > 0 && r < g.m; ++r) {
      for (Index c = 0; c < kWide * kTile; c += kTile) {
        store(total[r] + c, add(load(total[r] + c), load(sum[r] + c)));
      }
    }
  }
  for (Index r = 0; r < g.m; ++r) {
    for (Index c = 0; c < g.n; c += kTile) put(g, r, c, load(total[r] + c), g.n - c);
  }
}

// --- One or two rows: on vectors, whose loads reach memory faster than those of tiles, in the
// order of the tiles.

constexpr Index kMostBlock = 512;  // words of a block (ops/matmul.h)

/// Subnormal numbers, read or computed, are zero, as they are on tiles.
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }
  ~FlushSubnormals() { _mm_setcsr(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned before_;
};

template <int kMany>
using LineSums = F32x16[kMany][kPanel / 16];

/// even and odd = what 16 words (or `words` of them) add; a: the numbers of A, by row.
template <int kMany>
BELAY_INLINE void line_step(const float (*a)[2 * kMostBlock], const Word* b, Index words,
                            LineSums<kMany>& even, LineSums<kMany>& odd) {
  each<kMany, 4>([&](int r, int v) BELAY_LAMBDA { even[r][v] = odd[r][v] = set1(0.0f); });
#pragma GCC unroll 1
  for (Index w = 0; w < words; ++w, b += kPanel) {
    ask_ahead(b, kPanel * kWordBytes / 64, kTileAhead);
    each<1, 4>([&](int, int v) BELAY_LAMBDA {
      const Word16 both = load_w(b + 16 * v);
      const F32x16 low = low_halves(both), high = high_halves(both);
#pragma GCC unroll 2
      for (int r = 0; r < kMany; ++r) {
        even[r][v] = fma(low, set1(a[r][2 * w]), even[r][v]);
        odd[r][v] = fma(high, set1(a[r][2 * w + 1]), odd[r][v]);
      }
    });
  }
}

template <int kMany>
void lines(const GemmPanel& g) {
  alignas(64) float a[kMany][2 * kMostBlock];
  LineSums<kMany> total, sum, even, odd;
  const FlushSubnormals flush;
  for (Index first = 0; first < g.k; first += g.k_block) {
    const Index n = g.k - first < g.k_block ? g.k - first : g.k_block;
    for (int r = 0; r < kMany; ++r) {
      const auto* x = reinterpret_cast<const std::uint16_t*>(g.a + r * g.a_row + first);
      for (Index i = 0; i < 2 * n; i += 16) store(a[r] + i, load_b_n(x + i, 2 * n - i));
    }
    each<kMany, 4>([&](int r, int v) BELAY_LAMBDA { sum[r][v] = set1(0.0f); });
    for (Index w = 0; w < n; w += kTile) {
      const Word* b = g.b + (first + w) * kPanel;
      const auto at = reinterpret_cast<const float(*)[2 * kMostBlock]>(a[0] + 2 * w);
      line_step<kMany>(at, b, n - w < kTile ? n - w : kTile, even, odd);
      each<kMany, 4>([&](int r, int v)
                         BELAY_LAMBDA { sum[r][v] = add(sum[r][v], add(even[r][v], odd[r][v])); });
    }
    each<kMany, 4>([&](int r, int v) BELAY_LAMBDA {
      total[r][v] = first == 0 ? sum[r][v] : add(total[r][v], sum[r][v]);
    });
  }
  each<kMany, 4>([&](int r, int v) BELAY_LAMBDA {
    if (16 * v < g.n) put(g, r, 16 * v, total[r][v], g.n - 16 * v);
  });
}

void few(const GemmPanel& g) {
  if (g.b_step == kPanel && g.k_block <= kMostBlock && g.m <= 2) {
    return g.m == 1 ? lines<1>(g) : lines<2>(g);
  }
  TileConfig config{};
  config.palette = 1;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<std::uint8_t>(t < 5 ? g.m : kTile);
    config.row_bytes[t] = kTile * kWordBytes;
  }
  memory_barrier();
  _tile_loadconfig(&config);
  if (g.n > 3 * kTile) {
    few_rows<4>(g);
  } else if (g.n > 2 * kTile) {
    few_rows<3>(g);
  } else if (g.n > kTile) {
    few_rows<2>(g);
  } else {
    few_rows<1>(g);
  }
  _tile_release();
}

}  // namespace belay::ops::simd::BELAY_ISA::tiles
