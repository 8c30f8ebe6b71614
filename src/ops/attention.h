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
  std::int64_t longest;  // tokens of the longest document that will be seen (sizes scratch)
};

/// qkv: [T, (H + 2 Hkv) D], turned; docs: i32 [n + 1, ...]: docs[0] = n documents, then their first
/// tokens, then T; out: [T, H D]; lse: f32 [H, T], the log-sum-exp of each row's scores.
void attention_forward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                       const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                       std::byte* scratch);
void attention_backward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                        const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                        const tensor::View& d_out, const tensor::View& d_qkv, std::byte* scratch);

/// One document in pieces: qkv holds the queries (and new keys) of positions past .. past + T - 1;
/// their keys and values are appended to the caches [capacity, Hkv, D] (compute type), then
/// attended to. past: i32 [1], past + T <= capacity = longest.
void attention_cached(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                      const tensor::View& past, const tensor::View& k_cache,
                      const tensor::View& v_cache, const tensor::View& out, std::byte* scratch);

std::int64_t attention_scratch(const AttentionShape& s, tensor::DType dtype, int n_threads);

/// Records attention over packed documents; returns out.
tensor::Id attention(tensor::Tape& tape, tensor::Id qkv, tensor::Id docs, const AttentionShape& s);
/// Records attention against caches.
tensor::Id attention_cached(tensor::Tape& tape, tensor::Id qkv, tensor::Id past, tensor::Id k_cache,
                            tensor::Id v_cache, const AttentionShape& s);

/// The slow twin of one query head over one document: q, k, v, o: [T, D].
template <class R>
void attention_reference(const R* q, const R* k, const R* v, R* o, std::int64_t T, std::int64_t D) {
  using std::exp, std::real;
  for (std::int64_t t = 0; t < T; ++t) {
    std::vector<R> p(static_cast<std::size_t>(t + 1));
    double top = -INFINITY;
    for (std::int64_t j = 0; j <= t; ++j) {
      R s = 0;
      for (std::int64_t i = 0; i < D; ++i) s += q[t * D + i] * k[j * D + i];
      p[static_cast<std::size_t>(j)] = s / R(std::sqrt(static_cast<double>(D)));
      top = std::max(top, static_cast<double>(real(p[static_cast<std::size_t>(j)])));
    }
    R sum = 0;
    for (R& s : p) sum += s = exp(s - R(top));
    for (std::int64_t i = 0; i < D; ++i) {
      R acc = 0;
      for (std::int64_t j = 0; j <= t; ++j) acc += p[static_cast<std::size_t>(j)] * v[j * D + i];
      o[t * D + i] = acc / sum;
    }
  }
}

}  // namespace belay::ops
