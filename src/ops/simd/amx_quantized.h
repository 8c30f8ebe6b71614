// Products of quantized weights and activations on tiles of bytes: a group is half a tile deep, its
// sums are whole numbers and so exact, and are scaled on vectors.
#pragma once

#include "ops/simd/amx_tiles.h"
#include "ops/simd/quantized.h"

namespace belay::ops::simd::BELAY_ISA::tiles {

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
  if (p.m <= kFewRows) return quant_panels<Codes>(p);
  configure_quant();
  for (Index row = 0; row < p.m; row += kQuantRows) {
    const Index m = p.m - row < kQuantRows ? p.m - row : kQuantRows;
    for (Index column = 0; column < p.n; column += kTile) quant_columns<Codes>(p, row, m, column);
  }
  _tile_release();
}

}  // namespace belay::ops::simd::BELAY_ISA::tiles
