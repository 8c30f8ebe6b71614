// Outer products (weight gradients) of bf16 on tiles, and the packing that feeds them.
#pragma once

#include "ops/simd/amx_tiles.h"
#include "ops/simd/rows.h"

namespace belay::ops::simd::BELAY_ISA::tiles {

template <bool kHigh, bool kWide>
BELAY_INLINE void outer_block(const OuterPanel& g, Index row, Index column) {
  const Word* a = g.a + row / kTile * g.a_tile;
  begin<kHigh, kWide>();
  for (Index w = 0; w < g.k; w += kTile) {
    step<kHigh, kWide>({a + w * kTile, a + g.a_tile + w * kTile, kTile * kWordBytes,
                        g.b + w * kTileOuter.columns + column, kTileOuter.columns * kWordBytes});
  }
  constexpr Index kWidth = kWide ? kColumns : kTile;
  float* c = g.c + row * g.ldc + column;
  if (!g.add && row + (kHigh ? kRows : kTile) <= g.m && column + kWidth <= g.n) {
    return write<kHigh, kWide>(c, g.ldc);
  }
  alignas(64) Sums sum;
  write<kHigh, kWide>(sum[0], kColumns);
  const Index rows = g.m - row < kRows ? g.m - row : kRows;
  for (Index r = 0; r < rows; ++r) {
    for (Index i = 0; i < kWidth && column + i < g.n; i += kTile) {
      float* p = c + r * g.ldc + i;
      const Index n = g.n - column - i;
      const F32x16 v = load(sum[r] + i);
      store_n(p, g.add ? add(load_n(p, n), v) : v, n);
    }
  }
}

template <bool kHigh>
BELAY_INLINE void outer_blocks(const OuterPanel& g, Index row) {
  Index column = 0;
  for (; g.n - column > kTile; column += kColumns) outer_block<kHigh, true>(g, row, column);
  if (column < g.n) outer_block<kHigh, false>(g, row, column);
}

void outer(const OuterPanel& g) {
  Index row = 0;
  for (; g.m - row > kTile; row += kRows) outer_blocks<true>(g, row);
  if (row < g.m) outer_blocks<false>(g, row);
}

/// Sixteen columns of 32 rows make a tile of 16 rows of 16 words.
void pack_tiles(Word* dst, Index stride, const std::uint16_t* src, Index ld, Index k, Index n) {
  each_strip<2 * kTile>(src, ld, k, n, [&](Index row, Index c) BELAY_LAMBDA {
    Word16 r[16];
    for (Index i = 0; i < 16; ++i) {
      const Index at = row + 2 * i;
      const std::uint16_t* p = src + at * ld + c;
      r[i] = at < k ? SourceBf16::down(p, at + 1 < k ? p + ld : nullptr, n - c) : set1_w(0);
    }
    transpose(r);
    Word* to = dst + c / kTile * stride + row / 2 * kTile;
    for (Index i = 0; i < 16; ++i) store_w(to + i * kTile, r[i]);
  });
}

}  // namespace belay::ops::simd::BELAY_ISA::tiles
