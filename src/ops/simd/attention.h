// Causal attention of one document and one key/value head, without a T x T matrix: forward, and
// what backward (ops/simd/attention_backward.h) and pages (ops/simd/attention_pages.h) share with
// it. Keys are taken in blocks of kKeyBlock counted from position 0 of the document, each row
// merging the blocks from left to right (online softmax: Milakov, Gimelshein 2018; Dao et al.,
// FlashAttention, 2022). A row's result depends on its own position and on the keys before it
// alone, so it has the same bits in one pass, in pieces against cached keys, and whatever rows
// share its tile. With a window W a row sees the last W keys up to its own; blocks keep their
// borders.
#pragma once

#include "ops/simd/gemm.h"
#include "ops/simd/rows.h"

namespace belay::ops::simd::BELAY_ISA {

/// How the vectors' products are fed. A type of attention says besides: its elements (put, get),
/// the elements of a word, a source to pack, and gemm, which takes all of k as one block.
struct VectorProducts {
  static constexpr Index kRows = kRowTile;  // rows of a causal tile that are cut together
  static constexpr Index kQueries = kQueryTile;
  static constexpr Index kWords = 1;          // a sum down packed rows is a multiple of this long
  static constexpr bool kTransposed = false;  // the A operand must have its words side by side
};
struct AttnF32 : ElemF32, VectorProducts {
  static constexpr Index kPair = 1;
  static void gemm(const GemmPanel& g) { gemm_block<MaddF32>(g); }
  using Source = SourceF32;
};
struct AttnBf16 : ElemBf16, VectorProducts {
  static constexpr Index kPair = 2;
  static void gemm(const GemmPanel& g) { gemm_block<MaddBf16>(g); }
  using Source = SourceBf16;
};

BELAY_INLINE Index up(Index n, Index to) { return (n + to - 1) / to * to; }
/// Columns of a packed operand of width D: panels of 64, or one narrower panel.
BELAY_INLINE Index panel_step(Index d) { return d >= kPanel ? kPanel : up(d, 16); }

/// Cuts the caller's scratch into aligned pieces.
struct Cutter {
  char* at;
  template <class T>
  T* take(Index n) {
    T* p = reinterpret_cast<T*>(at);
    at += up(n * static_cast<Index>(sizeof(T)), 64);
    return p;
  }
};

/// [n rows of D] of a head as B operand whose reduction runs along D: [block of 64 rows][D
/// words][64].
template <class A>
void pack_along(Word* dst, const typename A::T* src, Index ld, Index n, Index d) {
  for (Index r = 0; r < n; r += kKeyBlock, dst += d / A::kPair * kKeyBlock) {
    const Index rows = n - r < kKeyBlock ? n - r : kKeyBlock;
    pack_rows<typename A::Source>(dst, kKeyBlock, src + r * ld, ld, d, rows);
  }
}

/// The same rows as B operand whose reduction runs down the rows, in blocks of `block` rows:
/// [block][panel of D][block / pair words][step], with zeros behind the last row up to A::kWords.
template <class A>
void pack_down(Word* dst, const typename A::T* src, Index ld, Index n, Index d, Index block) {
  const Index step = panel_step(d);
  for (Index r = 0; r < n; r += block) {
    const Index rows = n - r < block ? n - r : block;
    for (Index c = 0; c < d; c += kPanel, dst += block / A::kPair * step) {
      pack_columns<typename A::Source>(dst, step, src + r * ld + c, ld, rows,
                                       d - c < kPanel ? d - c : kPanel);
      const Index words = up(rows, A::kPair) / A::kPair;
      for (Index i = words * step; i < up(words, A::kWords) * step; i += 16) {
        store_w(dst + i, set1_w(0));
      }
    }
  }
}

/// C[m, D] (+)= A[m, k words] B with B packed by pack_down (one block of it).
template <class A>
BELAY_INLINE void times_down(const Word* a, Index a_row, Index a_step, Index m, Index k,
                             const Word* b, Index block, float* c, Index d, const float* scale) {
  const Index step = panel_step(d);
  for (Index p = 0; p < d; p += kPanel, b += block / A::kPair * step) {
    GemmPanel g{};
    g.a = a, g.a_row = a_row, g.a_step = a_step;
    g.b = b, g.b_step = step;
    g.m = m, g.n = d - p < kPanel ? d - p : kPanel, g.k = k;
    g.c = c + p, g.ldc = d, g.add = true, g.scale = scale;
    A::gemm(g);
  }
}

/// S[m, keys] = Q K^T for one key block.
template <class A>
BELAY_INLINE void scores(const typename A::T* q, Index ldq, Index m, const Word* keys, Index d,
                         Index n, float* s) {
  GemmPanel g{};
  g.a = reinterpret_cast<const Word*>(q), g.a_row = ldq / A::kPair, g.a_step = 1;
  g.b = keys, g.b_step = kKeyBlock;
  g.m = m, g.n = n, g.k = d / A::kPair;
  g.c = s, g.ldc = kKeyBlock;
  A::gemm(g);
}

/// Words of a sum down n rows that pack_down packed, or that are zeros.
template <class A>
BELAY_INLINE Index words_down(Index n) {
  return up(up(n, A::kPair) / A::kPair, A::kWords);
}

/// Rows of a causal tile: row r sees the first `base + r + 1` keys of the block, of which there are
/// n. Calls run(row, rows, keys) on the whole tile where every row sees all keys, else on groups of
/// rows with the keys that the last of them sees; what is left out would only add zeros.
template <class A, class Run>
BELAY_INLINE void for_seen(Index m, Index n, Index base, Run run) {
  if (base + 1 >= n) return run(0, m, n);
  for (Index r = 0; r < m; r += A::kRows) {
    const Index rows = m - r < A::kRows ? m - r : A::kRows, seen = base + r + rows;
    if (seen > 0) run(r, rows, seen < n ? seen : n);
  }
}

template <class A>
struct ForwardTile {
  float* s;          // [A::kQueries][64]
  typename A::T* p;  // [A::kQueries][64]
  float* o;          // [A::kQueries][D]
  float top[A::kQueries], next[A::kQueries], sum[A::kQueries], alpha[A::kQueries];
};

/// The scores of a tile's row that count: [low, high) of the block. Rows may be successive
/// positions of one head (step 1) or the heads of one position (step 0).
struct Seen {
  Index base, step, window;
  BELAY_INLINE Index high(Index r) const { return base + r * step + 1; }
  BELAY_INLINE Index low(Index r) const { return window > 0 ? high(r) - window : 0; }
};

/// Scales a row's scores and finds the maximum of those that are seen.
template <class A>
BELAY_INLINE void row_maximum(ForwardTile<A>& t, Index r, const Seen& seen, float scale) {
  float* s = t.s + r * kKeyBlock;
  const Index high = seen.high(r), low = seen.low(r);
  const F32x16 none = set1(-__builtin_inff());
  F32x16 most = set1(t.top[r]);
  for (Index c = 0; c < kKeyBlock && c < high; c += 16) {
    F32x16 v = mul(load(s + c), set1(scale));
    if (high - c < 16) v = keep_n(v, none, high - c);
    if (low > c) v = low - c < 16 ? keep_n(none, v, low - c) : none;
    store(s + c, v);
    most = max(most, v);
  }
  t.next[r] = reduce_max(most);
}

/// The row's probabilities against its new maximum; merges their sum.
template <class A>
BELAY_INLINE void row_softmax(ForwardTile<A>& t, Index r, Index high) {
  const float* s = t.s + r * kKeyBlock;
  auto* p = t.p + r * kKeyBlock;
  const F32x16 top = set1(t.next[r]);
  F32x16 total = set1(0.0f);
#pragma GCC unroll 4
  for (Index c = 0; c < kKeyBlock; c += 16) {
    F32x16 e = set1(0.0f);
    if (c < high) e = exp(sub(load(s + c), top));
    total = add(total, e);
    A::put(p + c, e, 16);
  }
  t.sum[r] = __builtin_fmaf(t.sum[r], t.alpha[r], reduce_add(total));
  t.top[r] = t.next[r];
}

template <class A>
BELAY_INLINE void tile_softmax(ForwardTile<A>& t, Index m, const Seen& seen, float scale) {
  for (Index r = 0; r < m; ++r) row_maximum<A>(t, r, seen, scale);
  for (Index r = 0; r < m; r += 16) {
    store(t.alpha + r, exp(sub(load(t.top + r), load(t.next + r))));
  }
  for (Index r = 0; r < m; ++r) row_softmax<A>(t, r, seen.high(r));
}

/// Packed blocks of keys or values: one behind the other, or where a table of pages says.
struct Blocks {
  const Word* base;
  Index words;  // from one block (or page) to the next
  const std::int32_t* pages = nullptr;
  BELAY_INLINE const Word* at(Index block) const {
    return base + (pages == nullptr ? block : pages[block]) * words;
  }
};

/// The rows of a tile: q and out of the first one and the way to the next, its position, and
/// whether the next row stands at the next position (step 1) or is the next head (step 0).
template <class A>
struct TileRows {
  const typename A::T* q;
  typename A::T* out;
  float* lse;
  Index ld, ld_out, m, position, step;
};

template <class A>
BELAY_INLINE void write_tile(const TileRows<A>& rows, Index d, const ForwardTile<A>& t) {
  for (Index r = 0; r < rows.m; ++r) {
    const F32x16 inverse = set1(1.0f / t.sum[r]);
    for (Index c = 0; c < d; c += 16) {
      A::put(rows.out + r * rows.ld_out + c, mul(ElemF32::get(t.o + r * d + c, d - c), inverse),
             d - c);
    }
    if (rows.lse == nullptr) continue;
    rows.lse[r] = static_cast<float>(static_cast<double>(t.top[r]) + log_of(t.sum[r]));
  }
}

/// The keys that a tile's rows see, from the beginning of the first's block.
struct KeyRange {
  Index first, end;
};
template <class A>
BELAY_INLINE KeyRange keys_of(const AttentionTask& a, const TileRows<A>& rows) {
  const Index first = a.window > 0 && rows.position >= a.window ? rows.position - a.window + 1 : 0;
  return {first / kKeyBlock * kKeyBlock, rows.position + (rows.m - 1) * rows.step + 1};
}

template <class A>
BELAY_INLINE void begin_tile(const TileRows<A>& rows, Index d, ForwardTile<A>& t) {
  constexpr float kLeast = -3.0e38f;  // finite: a row may see nothing of the window's first block
  for (Index i = 0; i < rows.m * d; i += 16) ElemF32::put(t.o + i, set1(0.0f), rows.m * d - i);
  for (Index r = 0; r < A::kQueries; ++r) {
    t.top[r] = t.next[r] = kLeast;
    t.sum[r] = 0.0f;
  }
}

/// Merges the block of keys that begins at k0, of which rows see those before `end`.
template <class A>
BELAY_INLINE void merge_block(const AttentionTask& a, const TileRows<A>& rows, Index k0, Index end,
                              const Word* k, const Word* v, ForwardTile<A>& t) {
  const Index d = a.head_dim, m = rows.m;
  const Index n = end - k0 < kKeyBlock ? end - k0 : kKeyBlock, base = rows.position - k0;
  for_seen<A>(m, n, base, [&](Index r, Index some_rows, Index some) BELAY_LAMBDA {
    scores<A>(rows.q + r * rows.ld, rows.ld, some_rows, k, d, some, t.s + r * kKeyBlock);
  });
  tile_softmax<A>(t, m, {base, rows.step, a.window}, a.scale);
  for_seen<A>(m, n, base, [&](Index r, Index some_rows, Index some) BELAY_LAMBDA {
    times_down<A>(reinterpret_cast<const Word*>(t.p + r * kKeyBlock), kKeyBlock / A::kPair, 1,
                  some_rows, words_down<A>(some), v, kKeyBlock, t.o + r * d, d, t.alpha + r);
  });
}

template <class A>
void forward_tile(const AttentionTask& a, const TileRows<A>& rows, const Blocks& keys,
                  const Blocks& values, ForwardTile<A>& t) {
  const KeyRange seen = keys_of<A>(a, rows);
  begin_tile<A>(rows, a.head_dim, t);
  for (Index k0 = seen.first; k0 < seen.end; k0 += kKeyBlock) {
    merge_block<A>(a, rows, k0, seen.end, keys.at(k0 / kKeyBlock), values.at(k0 / kKeyBlock), t);
  }
  write_tile<A>(rows, a.head_dim, t);
}

template <class A>
BELAY_INLINE ForwardTile<A> take_tile(Cutter& cut, Index head_dim) {
  ForwardTile<A> t{};
  t.s = cut.take<float>(A::kQueries * kKeyBlock);
  t.p = cut.take<typename A::T>(A::kQueries * kKeyBlock);
  t.o = cut.take<float>(A::kQueries * head_dim);
  return t;
}

/// One position, whose heads are the rows of tiles.
BELAY_INLINE bool one_position(const AttentionTask& a) {
  return a.n_queries == 1 && a.lse == nullptr;
}

/// The tiles of all query heads of a task.
template <class A>
BELAY_INLINE Index n_tiles(const AttentionTask& a) {
  const Index rows = one_position(a) ? a.group : a.n_queries;
  return up(rows, A::kQueries) / A::kQueries * (one_position(a) ? 1 : a.group);
}

template <class A>
BELAY_INLINE TileRows<A> tile_rows(const AttentionTask& a, Index tile) {
  using T = typename A::T;
  const Index d = a.head_dim;
  const auto* q = static_cast<const T*>(a.q);
  auto* out = static_cast<T*>(a.out);
  if (one_position(a)) {
    const Index h = tile * A::kQueries, m = a.group - h < A::kQueries ? a.group - h : A::kQueries;
    return {q + h * d, out + h * d, nullptr, d, d, m, a.first_query, 0};
  }
  const Index per_head = up(a.n_queries, A::kQueries) / A::kQueries;
  const Index h = tile / per_head, r = tile % per_head * A::kQueries;
  const Index m = a.n_queries - r < A::kQueries ? a.n_queries - r : A::kQueries;
  return {q + h * d + r * a.ld,
          out + h * d + r * a.ld_out,
          a.lse == nullptr ? nullptr : a.lse + h * a.ld_lse + r,
          a.ld,
          a.ld_out,
          m,
          a.first_query + r,
          1};
}

/// All query heads of a task against packed blocks.
template <class A>
void forward_heads(const AttentionTask& a, const Blocks& k, const Blocks& v, ForwardTile<A>& t) {
  for (Index i = 0; i < n_tiles<A>(a); ++i) forward_tile<A>(a, tile_rows<A>(a, i), k, v, t);
}

/// Words of a packed block of keys, and of values.
template <class A>
BELAY_INLINE Index key_words(Index d) {
  return d / A::kPair * kKeyBlock;
}
template <class A>
BELAY_INLINE Index value_words(Index d) {
  return up(d, kPanel) / kPanel * (kKeyBlock / A::kPair) * panel_step(d);
}

template <class A>
void attention_forward(const AttentionTask& a) {
  using T = typename A::T;
  const Index d = a.head_dim, keys = up(a.n_keys, kKeyBlock);
  Cutter cut{static_cast<char*>(a.scratch)};
  Word* k = cut.take<Word>(keys * d / A::kPair);
  Word* v = cut.take<Word>(keys / A::kPair * up(d, kPanel));
  ForwardTile<A> t = take_tile<A>(cut, d);
  pack_along<A>(k, static_cast<const T*>(a.k), a.ld_kv, a.n_keys, d);
  pack_down<A>(v, static_cast<const T*>(a.v), a.ld_kv, a.n_keys, d, kKeyBlock);
  forward_heads<A>(a, {k, key_words<A>(d)}, {v, value_words<A>(d)}, t);
}

}  // namespace belay::ops::simd::BELAY_ISA
