// Attention of new positions against pages of keys and values, to which theirs are appended first:
// in the compute type here, in bytes in ops/simd/attention_bytes.h.
#pragma once

#include "ops/simd/attention.h"
#include "ops/simd/attention_bytes.h"

namespace belay::ops::simd::BELAY_ISA {

/// One key and value into their place of a packed block.
template <class A>
BELAY_INLINE void put_key(Word* keys, Word* values, Index column, const typename A::T* k,
                          const typename A::T* v, Index d) {
  const auto* from = reinterpret_cast<const Word*>(k);
  for (Index w = 0; w < d / A::kPair; ++w) keys[w * kKeyBlock + column] = from[w];
  const Index step = panel_step(d), pair = A::kPair;
  auto* to = reinterpret_cast<typename A::T*>(values) + column % pair;
  for (Index c = 0; c < d; c += kPanel) {
    const Index n = d - c < kPanel ? d - c : kPanel;
    const Index row = (c / kPanel * (kKeyBlock / pair) + column / pair) * step;
    for (Index i = 0; i < n; ++i) to[(row + i) * pair] = v[c + i];
  }
}

/// Appends the task's keys and values to its pages. A page that begins is cleared: what stands
/// behind the last key must be numbers.
template <class A>
void append_keys(const AttentionTask& a) {
  using T = typename A::T;
  const Index d = a.head_dim;
  const auto *k = static_cast<const T*>(a.k), *v = static_cast<const T*>(a.v);
  for (Index r = 0; r < a.n_queries;) {
    const Index position = a.first_query + r, column = position % kKeyBlock;
    Word* keys = static_cast<Word*>(a.page_keys) + a.pages[position / kKeyBlock] * a.page_words;
    Word* values = static_cast<Word*>(a.page_values) + a.pages[position / kKeyBlock] * a.page_words;
    if (column > 0) {
      put_key<A>(keys, values, column, k + r * a.ld_kv, v + r * a.ld_kv, d);
      ++r;
      continue;
    }
    const Index n = a.n_queries - r < kKeyBlock ? a.n_queries - r : kKeyBlock;
    if (n < kKeyBlock) {
      for (Index i = 0; i < key_words<A>(d); i += 16) store_w(keys + i, set1_w(0));
      for (Index i = 0; i < value_words<A>(d); i += 16) store_w(values + i, set1_w(0));
    }
    pack_along<A>(keys, k + r * a.ld_kv, a.ld_kv, n, d);
    pack_down<A>(values, v + r * a.ld_kv, a.ld_kv, n, d, kKeyBlock);
    r += n;
  }
}

template <class A>
void attention_paged(const AttentionTask& a) {
  if (a.page_scales != nullptr) return attention_paged_bytes<A>(a);
  append_keys<A>(a);
  Cutter cut{static_cast<char*>(a.scratch)};
  ForwardTile<A> t = take_tile<A>(cut, a.head_dim);
  forward_heads<A>(a, {static_cast<const Word*>(a.page_keys), a.page_words, a.pages},
                   {static_cast<const Word*>(a.page_values), a.page_words, a.pages}, t);
}

}  // namespace belay::ops::simd::BELAY_ISA
