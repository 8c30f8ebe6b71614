// Products of bf16 on the tiles of AMX: eight registers of 16 rows of 64 bytes. One instruction
// multiplies 16 rows by 16 columns over 16 words, sixteen times the work of one on vectors.
//
// The order is not that of a vector's: over each 16 words the even and the odd numbers of the pairs
// are summed apart, ascending and fused, each from zero; the two sums are added, and what they give
// is added to the accumulator (Intel, Software Developer's Manual, TDPBF16PS).
#pragma once

#include <immintrin.h>

#include "ops/simd/gemm.h"
#include "ops/simd/kernels.h"

namespace belay::ops::simd::BELAY_ISA::tiles {

constexpr Index kTile = 16;     // rows, columns and words of a tile
constexpr Index kRows = 32;     // of a block of accumulators: tiles 0 to 3, two by two,
constexpr Index kColumns = 32;  // beside two tiles of A (4, 5) and two of B (6, 7)
constexpr Index kWordBytes = 4;

/// Keeps the compiler from moving writes to memory behind loads of tiles, which it does not see.
BELAY_INLINE void memory_barrier() { __asm__ volatile("" ::: "memory"); }

struct alignas(64) TileConfig {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};

/// Sets the tiles up for a block of `rows` <= kRows rows.
BELAY_INLINE void configure(Index rows) {
  TileConfig config{};
  config.palette = 1;
  const Index low = rows < kTile ? rows : kTile, high = rows - low;
  const Index rows_of[8] = {low, low, high, high, low, high, kTile, kTile};
  for (int t = 0; t < 8; ++t) {
    if (rows_of[t] == 0) continue;
    config.rows[t] = static_cast<std::uint8_t>(rows_of[t]);
    config.row_bytes[t] = kTile * kWordBytes;
  }
  memory_barrier();
  _tile_loadconfig(&config);
}

/// Operands of one block: A as two tiles of rows, B as tiles of columns side by side; strides in
/// bytes.
struct Operands {
  const Word *a, *a_high;
  Index a_row;
  const Word* b;
  Index b_row;
};

/// The accumulators += A B over 16 words.
template <bool kHigh, bool kWide>
BELAY_INLINE void step(const Operands& o) {
  _tile_loadd(4, o.a, o.a_row);
  _tile_loadd(6, o.b, o.b_row);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kWide) {
    _tile_loadd(7, o.b + kTile, o.b_row);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (kHigh) {
    _tile_loadd(5, o.a_high, o.a_row);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kWide) _tile_dpbf16ps(3, 5, 7);
  }
}

/// Begins sums of operands that are written.
template <bool kHigh, bool kWide>
BELAY_INLINE void begin() {
  memory_barrier();
  _tile_zero(0);
  if constexpr (kWide) _tile_zero(1);
  if constexpr (kHigh) _tile_zero(2);
  if constexpr (kHigh && kWide) _tile_zero(3);
}

/// Writes the accumulators; `row` in floats.
template <bool kHigh, bool kWide>
BELAY_INLINE void write(float* to, Index row) {
  _tile_stored(0, to, row * kWordBytes);
  if constexpr (kWide) _tile_stored(1, to + kTile, row * kWordBytes);
  if constexpr (kHigh) _tile_stored(2, to + kTile * row, row * kWordBytes);
  if constexpr (kHigh && kWide) _tile_stored(3, to + kTile * row + kTile, row * kWordBytes);
}

/// The last words of a sum that 16 does not divide, filled up with zeros.
struct alignas(64) Tail {
  Word a[kRows][kTile];
  Word b[kTile][kColumns];
};

template <bool kHigh, bool kWide>
BELAY_INLINE void step_tail(const Word* a, Index a_row, const Word* b, Index b_row, Index rows,
                            Index words) {
  Tail tail;
  for (Index r = 0; r < rows; ++r) store_w(tail.a[r], load_w_n(a + r * a_row, words));
  for (Index w = 0; w < kTile; ++w) {
    for (Index c = 0; c < (kWide ? kColumns : kTile); c += kTile) {
      store_w(tail.b[w] + c, w < words ? load_w(b + w * b_row + c) : set1_w(0));
    }
  }
  memory_barrier();
  step<kHigh, kWide>(
      {tail.a[0], tail.a[kTile], kTile * kWordBytes, tail.b[0], kColumns * kWordBytes});
}

/// The accumulators = the product over `words` words.
template <bool kHigh, bool kWide>
BELAY_INLINE void product(const Word* a, Index a_row, const Word* b, Index b_row, Index rows,
                          Index words) {
  begin<kHigh, kWide>();
  Index w = 0;
  for (; w + kTile <= words; w += kTile) {
    step<kHigh, kWide>(
        {a + w, a + kTile * a_row + w, a_row * kWordBytes, b + w * b_row, b_row * kWordBytes});
  }
  if (w < words) {
    step_tail<kHigh, kWide>(a + w, a_row, b + w * b_row, b_row, rows, words - w);
  }
}

using Sums = float[kRows][kColumns];

/// One block of C, at most 32 rows and columns.
template <bool kHigh, bool kWide>
void block(const GemmPanel& g, Index row, Index rows, Index column) {
  const Word* a = g.a + row * g.a_row;
  const Word* b = g.b + column;
  const Index columns = g.n - column < kColumns ? g.n - column : kColumns;
  const bool whole = columns == (kWide ? kColumns : kTile);
  product<kHigh, kWide>(a, g.a_row, b, g.b_step, rows, g.k);
  if (whole && g.c != nullptr && g.bias == nullptr && g.scale == nullptr && !g.add) {
    return write<kHigh, kWide>(g.c + row * g.ldc + column, g.ldc);
  }
  alignas(64) Sums sum;
  write<kHigh, kWide>(sum[0], kColumns);
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; c += kTile) {
      put(g, row + r, column + c, load(sum[r] + c), columns - c);
    }
  }
}

/// Two tiles of columns of B stay in the first-level cache while all rows pass by.
template <bool kHigh>
BELAY_INLINE void blocks(const GemmPanel& g, Index row, Index end, Index rows) {
  for (Index column = 0; column < g.n; column += kColumns) {
    const bool wide = g.n - column > kTile;
    for (Index r = row; r < end; r += rows) {
      wide ? block<kHigh, true>(g, r, rows, column) : block<kHigh, false>(g, r, rows, column);
    }
  }
}

/// Multiplies rows whose words lie side by side (a_step is 1). The tiles are set up for kRows rows
/// before and after.
void multiply(const GemmPanel& g) {
  const Index whole = g.m / kRows * kRows, rest = g.m - whole;
  blocks<true>(g, 0, whole, kRows);
  if (rest == 0) return;
  configure(rest);
  rest > kTile ? blocks<true>(g, whole, g.m, rest) : blocks<false>(g, whole, g.m, rest);
  configure(kRows);
}

template <class Args, void (*kLoop)(const Args&)>
void on_tiles(const Args& args) {
  configure(kRows);
  kLoop(args);
  _tile_release();
}

}  // namespace belay::ops::simd::BELAY_ISA::tiles
