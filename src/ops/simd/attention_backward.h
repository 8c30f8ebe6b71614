// Backward of causal attention: scores and probabilities are computed again, tile by tile, from the
// log-sum-exp that forward kept.
#pragma once

#include "ops/simd/attention.h"

namespace belay::ops::simd::BELAY_ISA {

/// The packed operands and sums of one backward task.
template <class A>
struct Backward {
  Word *k_along, *v_along, *k_down, *q_down, *do_down;
  float *dq, *dk, *dv, *delta;  // dq, dk, dv: [L][D]
  float *s, *dp;                // [kBackwardTile][64]
  typename A::T* ds;            // [kBackwardTile][64]
  Word *p_pairs, *ds_pairs;     // [kBackwardTile / pair][64]
  Word *p_turned, *ds_turned;   // [64][kBackwardTile / pair]: the same, where A::kTransposed
};

/// to[64][words] = from[words][64]; 16 divides words.
BELAY_INLINE void turn(Word* to, Index row, const Word* from, Index words) {
  for (Index w = 0; w < words; w += 16) {
    for (Index c = 0; c < kKeyBlock; c += 16) {
      Word16 r[16];
#pragma GCC unroll 16
      for (Index i = 0; i < 16; ++i) r[i] = load_w(from + (w + i) * kKeyBlock + c);
      transpose(r);
#pragma GCC unroll 16
      for (Index i = 0; i < 16; ++i) store_w(to + (c + i) * row + w, r[i]);
    }
  }
}

/// P and dS of two rows (one for f32) from their scores; rows beyond m give zeros.
template <class A>
BELAY_INLINE void probabilities(const AttentionTask& a, const Backward<A>& b, const float* lse,
                                Index r0, Index m, Index r, Index k0) {
  for (Index c = 0; c < kKeyBlock; c += 16) {
    F32x16 p[2], ds[2];
#pragma GCC unroll 2
    for (int i = 0; i < A::kPair; ++i) {
      const Index row = r + i;
      p[i] = ds[i] = set1(0.0f);
      if (row >= m) continue;
      const Index valid = r0 + row + 1 - k0 - c;
      const Index low = a.window > 0 ? valid - a.window : 0;
      if (valid > 0 && low < 16) {
        const F32x16 s = fma(load(b.s + row * kKeyBlock + c), set1(a.scale), set1(-lse[r0 + row]));
        p[i] = exp(s);
        const F32x16 d = sub(load(b.dp + row * kKeyBlock + c), set1(b.delta[r0 + row]));
        ds[i] = mul(mul(p[i], d), set1(a.scale));
        if (valid < 16) {
          p[i] = keep_n(p[i], set1(0.0f), valid);
          ds[i] = keep_n(ds[i], set1(0.0f), valid);
        }
        if (low > 0) {
          p[i] = keep_n(set1(0.0f), p[i], low);
          ds[i] = keep_n(set1(0.0f), ds[i], low);
        }
      }
      A::put(b.ds + row * kKeyBlock + c, ds[i], 16);
    }
    const Index at = r / A::kPair * kKeyBlock + c;
    if constexpr (A::kPair == 2) {
      store_w(b.p_pairs + at, pair_words(p[0], p[1]));
      store_w(b.ds_pairs + at, pair_words(ds[0], ds[1]));
    } else {
      store_w(b.p_pairs + at, as_words(p[0]));
      store_w(b.ds_pairs + at, as_words(ds[0]));
    }
  }
}

template <class A>
void backward_pair(const AttentionTask& a, const Backward<A>& b, const typename A::T* q,
                   const typename A::T* d_out, const float* lse, Index k0, Index r0, Index m) {
  const Index d = a.head_dim, block = k0 / kKeyBlock, tile = r0 / kBackwardTile;
  const Index base = r0 - k0;
  const Index n = a.n_keys - k0 < kKeyBlock ? a.n_keys - k0 : kKeyBlock;
  const Index along = block * (d / A::kPair * kKeyBlock);
  const Index panels = up(d, kPanel) / kPanel * panel_step(d);
  for_seen<A>(m, n, base, [&](Index r, Index rows, Index some) BELAY_LAMBDA {
    scores<A>(q + (r0 + r) * a.ld, a.ld, rows, b.k_along + along, d, some, b.s + r * kKeyBlock);
    scores<A>(d_out + (r0 + r) * a.ld_out, a.ld_out, rows, b.v_along + along, d, some,
              b.dp + r * kKeyBlock);
  });
  const Index q_words = words_down<A>(m), at = tile * (kBackwardTile / A::kPair) * panels;
  for (Index r = 0; r < q_words * A::kPair; r += A::kPair) {
    probabilities<A>(a, b, lse, r0, m, r, k0);
  }
  const Word *p = b.p_pairs, *ds = b.ds_pairs;
  Index row = 1, step = kKeyBlock;  // strides of P^T and dS^T
  if constexpr (A::kTransposed) {
    p = b.p_turned, ds = b.ds_turned, row = kBackwardTile / A::kPair, step = 1;
    turn(b.p_turned, row, b.p_pairs, q_words);
    turn(b.ds_turned, row, b.ds_pairs, q_words);
  }
  // Keys [j, j + rows) are seen by the queries from j - base on: skip the words of those before.
  const Index group = base >= n ? n : A::kRows;
  for (Index j = 0; j < n; j += group) {
    const Index rows = n - j < group ? n - j : group;
    const Index first = j > base ? (j - base) / A::kPair / A::kWords * A::kWords : 0;
    if (first >= q_words) break;
    const Index skip = first * step + j * row, in = at + first * panel_step(d);
    times_down<A>(p + skip, row, step, rows, q_words - first, b.do_down + in, kBackwardTile,
                  b.dv + (k0 + j) * d, d, nullptr);
    times_down<A>(ds + skip, row, step, rows, q_words - first, b.q_down + in, kBackwardTile,
                  b.dk + (k0 + j) * d, d, nullptr);
  }
  for_seen<A>(m, n, base, [&](Index r, Index rows, Index some) BELAY_LAMBDA {
    times_down<A>(reinterpret_cast<const Word*>(b.ds + r * kKeyBlock), kKeyBlock / A::kPair, 1,
                  rows, words_down<A>(some), b.k_down + block * (kKeyBlock / A::kPair) * panels,
                  kKeyBlock, b.dq + (r0 + r) * d, d, nullptr);
  });
}

template <class A>
BELAY_INLINE void fill_zero(float* p, Index n) {
  for (Index i = 0; i < n; i += 16) ElemF32::put(p + i, set1(0.0f), n - i);
}

template <class A>
BELAY_INLINE void write_rows(const float* from, typename A::T* to, Index ld, Index n, Index d) {
  for (Index r = 0; r < n; ++r) {
    for (Index c = 0; c < d; c += 16)
      A::put(to + r * ld + c, ElemF32::get(from + r * d + c, d - c), d - c);
  }
}

template <class A>
void backward_head(const AttentionTask& a, const Backward<A>& b, Index h) {
  using T = typename A::T;
  const Index d = a.head_dim, length = a.n_queries;
  const T* q = static_cast<const T*>(a.q) + h * d;
  const T* out = static_cast<const T*>(a.out) + h * d;
  const T* d_out = static_cast<const T*>(a.d_out) + h * d;
  const float* lse = a.lse + h * a.ld_lse;
  for (Index r = 0; r < length; ++r) {
    F32x16 dot = set1(0.0f);
    for (Index c = 0; c < d; c += 16) {
      dot =
          fma(A::get(out + r * a.ld_out + c, d - c), A::get(d_out + r * a.ld_out + c, d - c), dot);
    }
    b.delta[r] = reduce_add(dot);
  }
  pack_down<A>(b.q_down, q, a.ld, length, d, kBackwardTile);
  pack_down<A>(b.do_down, d_out, a.ld_out, length, d, kBackwardTile);
  fill_zero<A>(b.dq, length * d);
  for (Index k0 = 0; k0 < length; k0 += kKeyBlock) {
    for (Index r0 = k0 / kBackwardTile * kBackwardTile; r0 < length; r0 += kBackwardTile) {
      const Index m = length - r0 < kBackwardTile ? length - r0 : kBackwardTile;
      const bool passed = a.window > 0 && r0 - a.window >= k0 + kKeyBlock;  // by every row
      if (r0 + m > k0 && !passed) backward_pair<A>(a, b, q, d_out, lse, k0, r0, m);
    }
  }
  write_rows<A>(b.dq, static_cast<T*>(a.dq) + h * d, a.ld, length, d);
}

/// Here n_queries = n_keys = the document's length, and first_query = 0.
template <class A>
void attention_backward(const AttentionTask& a) {
  using T = typename A::T;
  const Index d = a.head_dim, length = up(a.n_keys, kKeyBlock), wide = up(d, kPanel);
  const Index tiles = up(a.n_queries, kBackwardTile);
  Cutter cut{static_cast<char*>(a.scratch)};
  Backward<A> b{};
  b.k_along = cut.take<Word>(length * d / A::kPair);
  b.v_along = cut.take<Word>(length * d / A::kPair);
  b.k_down = cut.take<Word>(length / A::kPair * wide);
  b.q_down = cut.take<Word>(tiles / A::kPair * wide);
  b.do_down = cut.take<Word>(tiles / A::kPair * wide);
  b.dq = cut.take<float>(a.n_queries * d);
  b.dk = cut.take<float>(a.n_keys * d);
  b.dv = cut.take<float>(a.n_keys * d);
  b.delta = cut.take<float>(a.n_queries);
  b.s = cut.take<float>(kBackwardTile * kKeyBlock);
  b.dp = cut.take<float>(kBackwardTile * kKeyBlock);
  b.ds = cut.take<T>(kBackwardTile * kKeyBlock);
  b.p_pairs = cut.take<Word>(kBackwardTile / A::kPair * kKeyBlock);
  b.ds_pairs = cut.take<Word>(kBackwardTile / A::kPair * kKeyBlock);
  if constexpr (A::kTransposed) {
    b.p_turned = cut.take<Word>(kBackwardTile / A::kPair * kKeyBlock);
    b.ds_turned = cut.take<Word>(kBackwardTile / A::kPair * kKeyBlock);
  }
  const T* k = static_cast<const T*>(a.k);
  const T* v = static_cast<const T*>(a.v);
  pack_along<A>(b.k_along, k, a.ld_kv, a.n_keys, d);
  pack_along<A>(b.v_along, v, a.ld_kv, a.n_keys, d);
  pack_down<A>(b.k_down, k, a.ld_kv, a.n_keys, d, kKeyBlock);
  fill_zero<A>(b.dk, a.n_keys * d);
  fill_zero<A>(b.dv, a.n_keys * d);
  for (Index h = 0; h < a.group; ++h) backward_head<A>(a, b, h);
  write_rows<A>(b.dk, static_cast<T*>(a.dk), a.ld_kv, a.n_keys, d);
  write_rows<A>(b.dv, static_cast<T*>(a.dv), a.ld_kv, a.n_keys, d);
}

}  // namespace belay::ops::simd::BELAY_ISA
