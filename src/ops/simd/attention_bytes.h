// Attention against pages of 8 bits: every key and every value is a vector of codes and one scale,
//   scale = max |x| / 127,  code = x / scale rounded to nearest even,  x' = scale code,
// and x' is rounded to the compute type where the products read it. Each operation is IEEE's, so
// pages and what is read from them are the same bits on every instruction set. A page is unpacked
// once for up to kTilesAtOnce tiles, into the form of ops/simd/attention.h, whose loops do the
// rest: the result has the bits of attention over x'.
#pragma once

#include "ops/simd/attention.h"

namespace belay::ops::simd::BELAY_ISA {

/// Writes byte_row(n) codes of n numbers; returns their scale, which is not finite where a number
/// is not. Numbers below 1e-30 are zeros: no x' is subnormal.
template <class E>
BELAY_INLINE float quantize_vector(const typename E::T* x, Index n, std::int8_t* codes) {
  const F32x16 zero = set1(0.0f);
  F32x16 size = zero, poison = zero;
  for (Index c = 0; c < n; c += 16) {
    const F32x16 v = E::get(x + c, n - c);
    size = max(size, max(v, sub(zero, v)));
    poison = fma(v, zero, poison);
  }
  const float largest = reduce_max(size);
  const F32x16 inverse = set1(largest > 1e-30f ? 127.0f / largest : 0.0f);
  for (Index c = 0; c < n; c += 16) {
    const F32x16 whole = round(mul(E::get(x + c, n - c), inverse));
    store_bytes(codes + c, max(min(whole, set1(127.0f)), set1(-127.0f)));
  }
  return largest / 127.0f + reduce_add(poison);
}

/// One head of a page of bytes.
struct BytePage {
  float *key_scales, *value_scales;
  std::int8_t *keys, *values;
};

BELAY_INLINE BytePage byte_page(const AttentionTask& a, Index position) {
  const Index skip = a.pages[position / kKeyBlock] * a.page_words;
  float* scales = a.page_scales + skip;
  return {scales, scales + kKeyBlock,
          reinterpret_cast<std::int8_t*>(static_cast<Word*>(a.page_keys) + skip),
          reinterpret_cast<std::int8_t*>(static_cast<Word*>(a.page_values) + skip)};
}

/// A page that begins is cleared: what stands behind the last key must be numbers.
BELAY_INLINE void clear(const BytePage& page, Index d) {
  __builtin_memset(page.key_scales, 0, kByteScaleWords * sizeof(Word));
  __builtin_memset(page.keys, 0, static_cast<std::size_t>(byte_key_words(d)) * sizeof(Word));
  __builtin_memset(page.values, 0, static_cast<std::size_t>(byte_value_words(d)) * sizeof(Word));
}

/// Appends the task's keys and values to its pages.
template <class A>
void append_bytes(const AttentionTask& a) {
  using T = typename A::T;
  const Index d = a.head_dim;
  const auto *k = static_cast<const T*>(a.k), *v = static_cast<const T*>(a.v);
  std::int8_t codes[kMaxHeadDim];
  for (Index r = 0; r < a.n_queries; ++r) {
    const Index position = a.first_query + r, column = position % kKeyBlock;
    const BytePage page = byte_page(a, position);
    if (column == 0 && a.n_queries - r < kKeyBlock) clear(page, d);
    page.key_scales[column] = quantize_vector<A>(k + r * a.ld_kv, d, codes);
    for (Index i = 0; i < d; ++i) page.keys[i * kKeyBlock + column] = codes[i];
    page.value_scales[column] =
        quantize_vector<A>(v + r * a.ld_kv, d, page.values + column * byte_row(d));
  }
}

/// Words of sixteen pairs (of sixteen numbers where a word is one).
template <class A>
BELAY_INLINE void unpack(Word* to, const std::int8_t* low, F32x16 low_scale,
                         const std::int8_t* high, F32x16 high_scale) {
  const F32x16 x = mul(load_bytes(low), low_scale);
  if constexpr (A::kPair == 2) {
    store_w(to, pair_words(x, mul(load_bytes(high), high_scale)));
  } else {
    store_w(to, as_words(x));
  }
}

BELAY_INLINE void ask_for(const void* p) { __builtin_prefetch(p, 0, 2); }

/// As pack_along and pack_down would pack x'. Asks for the page that comes next, which may lie
/// anywhere.
template <class A>
void unpack_page(const BytePage& page, const BytePage& next, Index d, Word* keys, Word* values) {
  F32x16 scale[kKeyBlock / 16];
  for (Index c = 0; c < kKeyBlock; c += 16) {
    scale[c / 16] = load(page.key_scales + c);
    ask_for(next.key_scales + c);
    ask_for(next.value_scales + c);
  }
  for (Index i = 0; i < d; i += A::kPair, keys += kKeyBlock) {
    const std::int8_t *low = page.keys + i * kKeyBlock, *high = low + kKeyBlock;
    for (Index j = 0; j < A::kPair; ++j) ask_for(next.keys + (i + j) * kKeyBlock);
#pragma GCC unroll 4
    for (Index c = 0; c < kKeyBlock; c += 16) {
      unpack<A>(keys + c, low + c, scale[c / 16], high + c, scale[c / 16]);
    }
  }
  const Index step = panel_step(d), row = byte_row(d);
  for (Index p = 0; p < d; p += kPanel) {
    for (Index r = 0; r < kKeyBlock; r += A::kPair, values += step) {
      for (Index j = 0; j < A::kPair; ++j) ask_for(next.values + (r + j) * row + p);
      const F32x16 low = set1(page.value_scales[r]);
      const F32x16 high = set1(page.value_scales[r + A::kPair - 1]);
      for (Index c = 0; c < kPanel && p + c < d; c += 16) {
        const std::int8_t* codes = page.values + r * row + p + c;
        unpack<A>(values + c, codes, low, codes + row, high);
      }
    }
  }
}

/// Up to kTilesAtOnce tiles against the pages that they see.
template <class A>
void forward_tiles(const AttentionTask& a, Index first, Index n, Word* k, Word* v,
                   ForwardTile<A>* tiles) {
  TileRows<A> rows[kTilesAtOnce];
  KeyRange seen[kTilesAtOnce];
  KeyRange all = keys_of<A>(a, tile_rows<A>(a, first));
  for (Index i = 0; i < n; ++i) {
    rows[i] = tile_rows<A>(a, first + i);
    seen[i] = keys_of<A>(a, rows[i]);
    if (seen[i].first < all.first) all.first = seen[i].first;
    if (seen[i].end > all.end) all.end = seen[i].end;
    begin_tile<A>(rows[i], a.head_dim, tiles[i]);
  }
  for (Index k0 = all.first; k0 < all.end; k0 += kKeyBlock) {
    const Index next = k0 + kKeyBlock < all.end ? k0 + kKeyBlock : k0;
    unpack_page<A>(byte_page(a, k0), byte_page(a, next), a.head_dim, k, v);
    for (Index i = 0; i < n; ++i) {
      if (k0 < seen[i].first || k0 >= seen[i].end) continue;
      merge_block<A>(a, rows[i], k0, seen[i].end, k, v, tiles[i]);
    }
  }
  for (Index i = 0; i < n; ++i) write_tile<A>(rows[i], a.head_dim, tiles[i]);
}

template <class A>
void attention_paged_bytes(const AttentionTask& a) {
  append_bytes<A>(a);
  const Index d = a.head_dim, all = n_tiles<A>(a);
  Cutter cut{static_cast<char*>(a.scratch)};
  Word* k = cut.take<Word>(key_words<A>(d));
  Word* v = cut.take<Word>(value_words<A>(d));
  ForwardTile<A> tiles[kTilesAtOnce];
  tiles[0] = take_tile<A>(cut, d);
  for (Index i = 1; i < kTilesAtOnce; ++i) {  // scores and probabilities are one tile's at a time
    tiles[i].s = tiles[0].s, tiles[i].p = tiles[0].p;
    tiles[i].o = cut.take<float>(A::kQueries * d);
  }
  for (Index i = 0; i < all; i += kTilesAtOnce) {
    forward_tiles<A>(a, i, all - i < kTilesAtOnce ? all - i : kTilesAtOnce, k, v, tiles);
  }
}

}  // namespace belay::ops::simd::BELAY_ISA
