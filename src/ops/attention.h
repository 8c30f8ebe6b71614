// Causal grouped-query attention (Vaswani et al., 2017; Ainslie et al., "GQA", 2023) without a T x
// T matrix:
//   o = softmax(q k^T / sqrt(D)) v   over the keys of the same document up to the query's position.
// Key blocks of 64 are counted from position 0 of the document, so a document has the same bits
// alone, packed with others, or computed in pieces against cached keys and values
// (ops/simd/attention.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "tensor/tape.h"

namespace belay::ops {

struct AttentionShape {
  std::int64_t n_heads, n_kv_heads, head_dim;
  std::int64_t longest;     // tokens of the longest document that will be seen (sizes scratch)
  std::int64_t window = 0;  // > 0: a token sees itself and the window - 1 before it
  int kv_bits = 0;          // of keys and values in pages: 8, or 0 for those of qkv's type
};

/// qkv: [T, (H + 2 Hkv) D], turned; docs: i32 [n + 1, ...]: docs[0] = n documents, then their first
/// tokens, then T; out: [T, H D]; lse: f32 [H, T], the log-sum-exp of each row's scores.
void attention_forward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                       const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                       std::byte* scratch);
void attention_backward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                        const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                        const tensor::View& d_out, const tensor::View& d_qkv, std::byte* scratch);

/// Positions of a page of keys and values: one block of attention.
constexpr std::int64_t kPageTokens = 64;
/// 32-bit words of one layer of a page: keys and values of every head, packed as products read
/// them; or, with kv_bits 8, as bytes: codes of x / scale, rounded to nearest even, and for every
/// vector of D numbers its scale = max |x| / 127 in f32.
std::int64_t page_words(std::int64_t n_kv_heads, std::int64_t head_dim, tensor::DType dtype,
                        int kv_bits = 0);

/// Rows of a batch that continue one sequence: rows [row, row + n_rows) stand at positions past,
/// past + 1, ... `table`: where the sequence's page numbers begin, in i32s of the same memory.
struct Segment {
  std::int32_t row, n_rows, past, table;
};

/// Sequences of which `pages` holds the past, each in pages of its own table. qkv [T, (H + 2 Hkv)
/// D]: queries and their new keys and values, which are put into the pages and attended to as well.
/// segments: i32, their number, the Segments, and page numbers; pages: i32 [n, page_words()]; out:
/// [T, H D], of which rows without a segment stay as they are. Pages of two segments are the same
/// only before the past of both. With kv_bits 8 every key and value, the rows' own too, is attended
/// to as scale * code, rounded to the type of qkv.
void attention_paged(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                     const tensor::View& segments, const tensor::View& pages,
                     const tensor::View& out, std::byte* scratch);

std::int64_t attention_scratch(const AttentionShape& s, tensor::DType dtype, int n_threads);
std::int64_t attention_paged_scratch(const AttentionShape& s, int n_threads);

/// Records attention over packed documents; returns out.
tensor::Id attention(tensor::Tape& tape, tensor::Id qkv, tensor::Id docs, const AttentionShape& s);
/// Records attention against pages.
tensor::Id attention_paged(tensor::Tape& tape, tensor::Id qkv, tensor::Id segments,
                           tensor::Id pages, const AttentionShape& s);

/// The slow twin of one query head over one document: q, k, v, o: [T, D].
template <class R>
void attention_reference(const R* q, const R* k, const R* v, R* o, std::int64_t T, std::int64_t D,
                         std::int64_t window = 0) {
  using std::exp, std::real;
  for (std::int64_t t = 0; t < T; ++t) {
    const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, t - window + 1) : 0;
    std::vector<R> p(static_cast<std::size_t>(t + 1));
    double top = -INFINITY;
    for (std::int64_t j = first; j <= t; ++j) {
      R s = 0;
      for (std::int64_t i = 0; i < D; ++i) s += q[t * D + i] * k[j * D + i];
      p[static_cast<std::size_t>(j)] = s / R(std::sqrt(static_cast<double>(D)));
      top = std::max(top, static_cast<double>(real(p[static_cast<std::size_t>(j)])));
    }
    R sum = 0;
    for (std::int64_t j = first; j <= t; ++j) {
      R& s = p[static_cast<std::size_t>(j)];
      sum += s = exp(s - R(top));
    }
    for (std::int64_t i = 0; i < D; ++i) {
      R acc = 0;
      for (std::int64_t j = first; j <= t; ++j)
        acc += p[static_cast<std::size_t>(j)] * v[j * D + i];
      o[t * D + i] = acc / sum;
    }
  }
}

}  // namespace belay::ops
