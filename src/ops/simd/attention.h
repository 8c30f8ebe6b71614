// Causal attention of one document and one key/value head: forward and backward, without a T x T
// matrix. Keys are taken in blocks of kKeyBlock counted from position 0 of the document, each row
// merging the blocks from left to right (online softmax: Milakov, Gimelshein 2018; Dao et al.,
// FlashAttention, 2022). A row's result depends on its own position and on the keys before it
// alone, so it has the same bits in one pass, in pieces against cached keys, and whatever rows
// share its tile. With a window W a row sees the last W keys up to its own; blocks keep their
// borders. Pages of bytes: ops/simd/attention_bytes.h.
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
void attention_paged_bytes(const AttentionTask& a);  // ops/simd/attention_bytes.h

template <class A>
void attention_paged(const AttentionTask& a) {
  if (a.page_scales != nullptr) return attention_paged_bytes<A>(a);
  append_keys<A>(a);
  Cutter cut{static_cast<char*>(a.scratch)};
  ForwardTile<A> t = take_tile<A>(cut, a.head_dim);
  forward_heads<A>(a, {static_cast<const Word*>(a.page_keys), a.page_words, a.pages},
                   {static_cast<const Word*>(a.page_values), a.page_words, a.pages}, t);
}

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
