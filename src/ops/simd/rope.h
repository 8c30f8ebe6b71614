// RoPE with the norms of queries and keys: rows of heads, each normalized by itself and turned.
#pragma once

#include "ops/simd/rows.h"

namespace belay::ops::simd::BELAY_ISA {

/// Heads that rope takes at once: one alone would wait for its root and its quotients.
constexpr Index kBlockHeads = 128;
constexpr Index kMaxHeads = 2048;  // of q and k in a row (model/config.h)

/// RMSNorm over D of the heads that have a weight, then the rotation of (i, i + D/2). kHalf: D/2
/// where it is known, so that a head's vectors stay in registers; else 0.
template <class E, Index kHalf>
struct RopeLoop {
  using T = typename E::T;
  static constexpr Index kWidth = 2 * kHalf;
  const RopeRows a;
  const Index half = kHalf > 0 ? kHalf : a.head_dim / 2, width = 2 * half;  // of a head
  const Index heads = a.n_heads + a.n_kv_heads, row_width = (heads + a.n_kv_heads) * width;
  float rstd[kMaxHeads], mean[kMaxHeads];  // [row of the block][head]

  BELAY_INLINE explicit RopeLoop(const RopeRows& rows) : a(rows) {}
  BELAY_INLINE Index at(Index r, Index h) const { return r * row_width + h * width; }
  BELAY_INLINE const float* weight(Index h) const {
    return h < a.n_heads ? a.q_weight : a.k_weight;
  }

  template <class Block>
  BELAY_INLINE void each_block(Block block) const {
    const Index at_once = heads < kBlockHeads ? kBlockHeads / heads : 1;
    for (Index r = 0; r < a.rows; r += at_once) {
      block(r, a.rows - r < at_once ? a.rows - r : at_once);
    }
  }

  /// run(row, head, index in the block) of a block's n rows.
  template <class Run>
  BELAY_INLINE void each_head(Index first, Index n, Run run) const {
    for (Index r = 0; r < n; ++r) {
      for (Index h = 0; h < heads; ++h) run(first + r, h, r * heads + h);
    }
  }

  BELAY_INLINE void copy_values(T* to, const T* from, Index first, Index n) const {
    for (Index r = first; r < first + n; ++r) {
      for (Index c = at(r, heads); c < at(r + 1, 0); ++c) to[c] = from[c];
    }
  }

  BELAY_INLINE void take_norms(Index first, Index n) {
    if (a.q_weight == nullptr && a.k_weight == nullptr) return;
    each_head(first, n, [&](Index r, Index h, Index i) BELAY_LAMBDA {
      const T* in = static_cast<const T*>(a.in) + at(r, h);
      F32x16 squares = set1(0.0f);
      each16_of<kWidth>(width, [&](Index c, Index some) BELAY_LAMBDA {
        const F32x16 v = E::get(in + c, some);
        squares = fma(v, v, squares);
      });
      rstd[i] = rstd_of(reduce_add(squares), width, a.eps);
    });
  }

  BELAY_INLINE void turn(Index r, Index h, float by) const {
    const T* in = static_cast<const T*>(a.in) + at(r, h);
    T* out = static_cast<T*>(a.out) + at(r, h);
    const float *w = weight(h), *cos = a.cos + a.positions[r] * half,
                *sin = a.sin + a.positions[r] * half;
    each16_of<kHalf>(half, [&](Index c, Index n) BELAY_LAMBDA {
      F32x16 x = E::get(in + c, n), y = E::get(in + half + c, n);
      if (w != nullptr) {
        x = mul(mul(x, set1(by)), ElemF32::get(w + c, n));
        y = mul(mul(y, set1(by)), ElemF32::get(w + half + c, n));
      }
      const F32x16 co = ElemF32::get(cos + c, n), si = ElemF32::get(sin + c, n);
      E::put(out + c, fnma(y, si, mul(x, co)), n);
      E::put(out + half + c, fma(x, si, mul(y, co)), n);
    });
  }

  /// The gradient of a head before the rotation.
  BELAY_INLINE void turn_back(Index r, Index h, float* turned) const {
    const T* d_out = static_cast<const T*>(a.d_out) + at(r, h);
    const float *cos = a.cos + a.positions[r] * half, *sin = a.sin + a.positions[r] * half;
    each16_of<kHalf>(half, [&](Index c, Index n) BELAY_LAMBDA {
      const F32x16 x = E::get(d_out + c, n), y = E::get(d_out + half + c, n);
      const F32x16 co = ElemF32::get(cos + c, n), si = ElemF32::get(sin + c, n);
      ElemF32::put(turned + c, fma(y, si, mul(x, co)), n);
      ElemF32::put(turned + half + c, fnma(x, si, mul(y, co)), n);
    });
  }

  /// Of the heads [h, end) of a row, which share a weight: its gradient, and the sums of
  /// gradient times normalized x.
  BELAY_INLINE void take_sums(Index r, Index h, Index end, float* dw, Index i) {
    const float* w = weight(h);
    if (w == nullptr) return;
    float turned[kHalf > 0 ? kWidth : kMaxHeadDim];
    F32x16 sums[kHalf > 0 ? kWidth / 16 : 1];  // dw, in registers where its width is known
    if constexpr (kHalf > 0) {
      each16_of<kWidth>(width, [&](Index c, Index) BELAY_LAMBDA {
        sums[c / 16] = dw == nullptr ? set1(0.0f) : load(dw + c);
      });
    }
    for (; h < end; ++h, ++i) {
      turn_back(r, h, turned);
      const T* in = static_cast<const T*>(a.in) + at(r, h);
      const F32x16 by = set1(rstd[i]);
      F32x16 dot = set1(0.0f);
      each16_of<kWidth>(width, [&](Index c, Index n) BELAY_LAMBDA {
        const F32x16 hat = mul(E::get(in + c, n), by), g = ElemF32::get(turned + c, n);
        if constexpr (kHalf > 0) {
          sums[c / 16] = fma(g, hat, sums[c / 16]);
        } else if (dw != nullptr) {
          ElemF32::put(dw + c, fma(g, hat, ElemF32::get(dw + c, n)), n);
        }
        dot = fma(mul(g, ElemF32::get(w + c, n)), hat, dot);
      });
      mean[i] = reduce_add(dot) / static_cast<float>(width);
    }
    if constexpr (kHalf > 0) {
      if (dw == nullptr) return;
      each16_of<kWidth>(width, [&](Index c, Index) BELAY_LAMBDA { store(dw + c, sums[c / 16]); });
    }
  }

  BELAY_INLINE void take_means(Index first, Index n) {
    for (Index r = 0; r < n; ++r) {
      take_sums(first + r, 0, a.n_heads, a.dq_weight, r * heads);
      take_sums(first + r, a.n_heads, heads, a.dk_weight, r * heads + a.n_heads);
    }
  }

  BELAY_INLINE void put_gradient(Index r, Index h, Index i) const {
    float turned[kHalf > 0 ? kWidth : kMaxHeadDim];
    turn_back(r, h, turned);
    const T* in = static_cast<const T*>(a.in) + at(r, h);
    T* d_in = static_cast<T*>(a.d_in) + at(r, h);
    const float* w = weight(h);
    each16_of<kWidth>(width, [&](Index c, Index n) BELAY_LAMBDA {
      F32x16 d = ElemF32::get(turned + c, n);
      if (w != nullptr) {
        const F32x16 hat = mul(E::get(in + c, n), set1(rstd[i]));
        d = mul(set1(rstd[i]), fnma(hat, set1(mean[i]), mul(d, ElemF32::get(w + c, n))));
      }
      E::put(d_in + c, d, n);
    });
  }

  BELAY_INLINE void forward() {
    each_block([&](Index first, Index n) BELAY_LAMBDA {
      take_norms(first, n);
      each_head(first, n, [&](Index r, Index h, Index i) BELAY_LAMBDA { turn(r, h, rstd[i]); });
      copy_values(static_cast<T*>(a.out), static_cast<const T*>(a.in), first, n);
    });
  }

  BELAY_INLINE void backward() {
    each_block([&](Index first, Index n) BELAY_LAMBDA {
      take_norms(first, n);
      take_means(first, n);
      if (a.d_in == nullptr) return;
      each_head(first, n, [&](Index r, Index h, Index i) BELAY_LAMBDA { put_gradient(r, h, i); });
      if (a.d_in == a.d_out) return;
      copy_values(static_cast<T*>(a.d_in), static_cast<const T*>(a.d_out), first, n);
    });
  }
};

/// run(loop) with the loop for this width: of its own where a head's vectors fit the registers.
template <class E, class Run>
BELAY_INLINE void with_rope_loop(const RopeRows& a, Run run) {
  if constexpr (kInRegisters) {
    if (a.head_dim == 32) return run(RopeLoop<E, 16>(a));
    if (a.head_dim == 64) return run(RopeLoop<E, 32>(a));
    if (a.head_dim == 128) return run(RopeLoop<E, 64>(a));
  }
  run(RopeLoop<E, 0>(a));
}

template <class E>
void rope_forward(const RopeRows& a) {
  with_rope_loop<E>(a, [](auto&& loop) BELAY_LAMBDA { loop.forward(); });
}

template <class E>
void rope_backward(const RopeRows& a) {
  with_rope_loop<E>(a, [](auto&& loop) BELAY_LAMBDA { loop.backward(); });
}

}  // namespace belay::ops::simd::BELAY_ISA
