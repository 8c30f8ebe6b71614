// Products of bf16 and of bytes on the tiles of AMX: eight registers of 16 rows of 64 bytes. One
// instruction multiplies 16 rows by 16 columns over 16 words, sixteen times the work of one on
// vectors. Products of bytes are exact.
//
// The order of bf16 is not that of a vector's: over each 16 words the even and the odd numbers of
// the pairs are summed apart, ascending and fused, each from zero; the two sums are added, and what
// they give is added to the accumulator (Intel, Software Developer's Manual, TDPBF16PS).
#include <immintrin.h>

#include "ops/simd/amx.h"
#include "ops/simd/attention_bytes.h"
#include "ops/simd/gemm.h"
#include "ops/simd/quantized.h"

namespace belay::ops::simd::BELAY_ISA {
namespace {

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

// --- Up to 16 rows: all columns of a panel at once, so that it passes once, in order. Sums in
// tiles 0 to 3, A in 4, B in 5 to 7.

struct alignas(64) FewTail {
  Word a[kTile][kTile];
  Word b[kTile][kPanel];
};

/// Where the next lines are asked for: a few after each load of a tile, for many at once would
/// hold up the loads.
template <int kWide>
BELAY_INLINE void few_step(const Word* a, Index a_row, const Word* b, Index b_row) {
  const auto ahead = [&](int part) BELAY_LAMBDA {
    ask_ahead(b + part * kTile * kTile, kTile * kWordBytes * kTile / 64);
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
    ask_ahead(b, kPanel * kWordBytes / 64);
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

void gemm(const GemmPanel& g) {
  g.m <= kTile ? few(g) : on_tiles<GemmPanel, gemm_panel<multiply>>(g);
}

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

struct Attention : ElemBf16 {
  static constexpr Index kPair = 2, kRows = amx::kRows, kQueries = 64, kWords = kTile;
  static constexpr bool kTransposed = true;
  static void gemm(const GemmPanel& g) { multiply(g); }
  using Source = SourceBf16;
};

// --- Bytes -----------------------------------------------------------------------------------

constexpr Index kQuantRows = 96;    // of which sums are kept between runs of groups
constexpr Index kQuantGroups = 32;  // of a run: what all rows read of B stays near

/// Sets the tiles up for products of a group: sums 0, 1; A 4, 5; B 6, 7. Always sixteen rows of A,
/// for which there is room (QuantizeRows): setting up again takes longer than rows in vain.
BELAY_INLINE void configure_quant() {
  TileConfig config{};
  config.palette = 1;
  for (int t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<std::uint8_t>(t < 6 ? kTile : kGroupWords);
    config.row_bytes[t] = t == 4 || t == 5 ? kQuantGroup : kTile * kWordBytes;
  }
  memory_barrier();
  _tile_loadconfig(&config);
}

/// Signed codes of a run of groups of sixteen columns, `stride` bytes apart.
struct SignedCodes {
  const std::byte* codes;
  Index stride;
};
template <class Codes>
SignedCodes signed_codes(const std::byte* b, Index groups, std::byte* room) {
  if constexpr (Codes::kBytes == Codes8::kBytes) {
    return {b, panel_group_bytes<Codes>()};
  } else {
    for (Index g = 0; g < groups; ++g, b += panel_group_bytes<Codes>()) {
      Word16 w[kGroupWords];
      Codes::load(b, w);
      auto* to = reinterpret_cast<Word*>(room + g * Codes8::kBytes);
      for (int i = 0; i < kGroupWords; ++i) {
        store_w(to + 16 * i, _mm512_sub_epi8(w[i], _mm512_set1_epi8(Codes::kOffset)));
      }
    }
    return {room, Codes8::kBytes};
  }
}

/// Sixteen rows by sixteen columns over a run of groups.
struct QuantTile {
  const std::int8_t* a;
  Index a_row;  // bytes
  SignedCodes b;
  const float *a_scale, *b_scale;  // [groups][kTile]
  /// The columns that come next: `lines` lines of each group are asked for.
  const std::byte* next;
  Index next_stride;
  int lines;

  /// dots = the products of group i, by two sets of tiles in turn, so that one set is on its way
  /// while what the other gave is added.
  template <int kSet>
  BELAY_INLINE void multiply(Index i, std::int32_t (&dots)[kTile][kTile]) const {
    const std::int8_t* rows = a + i * kQuantGroup;
    const std::byte* columns = b.codes + i * b.stride;
    for (int line = 0; line < lines; ++line) {
      __builtin_prefetch(next + i * next_stride + 64 * line, 0, 2);
    }
    if constexpr (kSet == 0) {
      _tile_zero(0);
      _tile_loadd(4, rows, a_row);
      _tile_loadd(6, columns, 64);
      _tile_dpbssd(0, 4, 6);
      _tile_stored(0, dots, 64);
    } else {
      _tile_zero(1);
      _tile_loadd(5, rows, a_row);
      _tile_loadd(7, columns, 64);
      _tile_dpbssd(1, 5, 7);
      _tile_stored(1, dots, 64);
    }
  }
  BELAY_INLINE void add(Index i, const std::int32_t (&dots)[kTile][kTile],
                        F32x16 (&acc)[kTile]) const {
    const F32x16 s = load(b_scale + i * kTile);
#pragma GCC unroll 16
    for (int r = 0; r < kTile; ++r) {
      const F32x16 dot = to_floats(load_w(reinterpret_cast<const Word*>(dots[r])));
      acc[r] = fma(dot, mul(s, set1(a_scale[i * kTile + r])), acc[r]);
    }
  }
  /// sums, from zero when `first`.
  void run(Index groups, float (*sums)[kTile], bool first) const {
    F32x16 acc[kTile];
    alignas(64) std::int32_t dots[2][kTile][kTile];
#pragma GCC unroll 16
    for (int r = 0; r < kTile; ++r) acc[r] = first ? set1(0.0f) : load(sums[r]);
    multiply<0>(0, dots[0]);
    for (Index i = 0; i < groups; i += 2) {
      if (i + 1 < groups) multiply<1>(i + 1, dots[1]);
      memory_barrier();
      add(i, dots[0], acc);
      if (i + 1 == groups) break;
      memory_barrier();
      if (i + 2 < groups) multiply<0>(i + 2, dots[0]);
      memory_barrier();
      add(i + 1, dots[1], acc);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTile; ++r) store(sums[r], acc[r]);
  }
};

/// Sixteen columns of up to kQuantRows rows.
template <class Codes>
void quant_columns(const QuantPanel& p, Index first_row, Index m, Index column) {
  alignas(64) float sums[kQuantRows][kTile];
  alignas(64) std::byte room[kQuantGroups * Codes8::kBytes];
  alignas(64) float scales[kQuantGroups][kTile];
  for (Index g = 0; g < p.groups; g += kQuantGroups) {
    const Index groups = p.groups - g < kQuantGroups ? p.groups - g : kQuantGroups;
    const std::byte* b = p.b + g * panel_group_bytes<Codes>();
    for (Index i = 0; i < groups; ++i) {
      const std::byte* half = b + i * panel_group_bytes<Codes>();
      store(scales[i], load_h(reinterpret_cast<const std::uint16_t*>(half) + column));
    }
    const SignedCodes codes =
        signed_codes<Codes>(b + kScaleBytes + column / 16 * Codes::kBytes, groups, room);
    // Behind the last columns of a run come the first ones of the next run, or panel.
    constexpr Index kGroup = panel_group_bytes<Codes>();
    const std::byte* next =
        b + kScaleBytes +
        (column + kTile < kPanel ? (column / kTile + 1) * Codes::kBytes : groups * kGroup);
    const auto tile = [&](Index row) {
      const Index at = (first_row + row) * p.groups;
      const QuantTile t{p.a + at * kQuantGroup + g * kQuantGroup,
                        p.groups * kQuantGroup,
                        codes,
                        p.a_scale + at + g * kTile,
                        scales[0],
                        next,
                        kGroup,
                        row == 0 ? static_cast<int>(Codes::kBytes / 64) : 0};
      t.run(groups, sums + row, g == 0);
    };
    memory_barrier();
    for (Index row = 0; row < m; row += kTile) tile(row);
  }
  for (Index row = 0; row < m; ++row) put(p, first_row + row, column, load(sums[row]));
}

template <class Codes>
void quant_on_tiles(const QuantPanel& p) {
  constexpr Index kFewRows = Codes::kBytes == Codes8::kBytes ? 6 : 8;  // vectors are as fast
  if (p.m <= kFewRows) return quant_panel<Codes>(p);
  configure_quant();
  for (Index row = 0; row < p.m; row += kQuantRows) {
    const Index m = p.m - row < kQuantRows ? p.m - row : kQuantRows;
    for (Index column = 0; column < p.n; column += kTile) quant_columns<Codes>(p, row, m, column);
  }
  _tile_release();
}

}  // namespace

Kernels with_tiles(Kernels kernels) {
  kernels.gemm_bf16 = gemm;
  kernels.gemm_q8 = quant_on_tiles<Codes8>;
  kernels.gemm_q4 = quant_on_tiles<Codes4>;
  kernels.outer_bf16 = on_tiles<OuterPanel, outer>;
  kernels.attention_forward[1] = on_tiles<AttentionTask, attention_forward<Attention>>;
  kernels.attention_backward[1] = on_tiles<AttentionTask, attention_backward<Attention>>;
  kernels.attention_paged[1] = on_tiles<AttentionTask, attention_paged<Attention>>;
  kernels.pack_tiles_bf16 = pack_tiles;
  kernels.outer_layout[1] = kTileOuter;
  return kernels;
}

}  // namespace belay::ops::simd::BELAY_ISA
