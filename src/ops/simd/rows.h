// Loops over rows: RMSNorm with residual, SwiGLU, softmax rows of the output head, AdamW. E is the
// storage of activations (f32 or bf16); arithmetic is f32. A row's reduction runs over vectors of
// 16 lanes in ascending order, then over lanes as a tree, whatever the instruction set. A loop
// copies what it is given: a store of a vector may write anything, so the compiler would read
// pointers and sizes again after each.
#pragma once

#include "ops/simd/kernels.h"
#include "ops/simd/vec.h"

namespace belay::ops::simd::BELAY_ISA {

struct ElemF32 {
  using T = float;
  BELAY_INLINE static F32x16 get(const T* p, Index n) { return n >= 16 ? load(p) : load_n(p, n); }
  BELAY_INLINE static void put(T* p, F32x16 v, Index n) {
    if (n >= 16)
      store(p, v);
    else
      store_n(p, v, n);
  }
};
struct ElemBf16 {
  using T = std::uint16_t;
  BELAY_INLINE static F32x16 get(const T* p, Index n) {
    return n >= 16 ? load_b(p) : load_b_n(p, n);
  }
  BELAY_INLINE static void put(T* p, F32x16 v, Index n) {
    if (n >= 16)
      store_b(p, v);
    else
      store_b_n(p, v, n);
  }
};

/// body(c, n) for every sixteen of `width` columns, n of which are left: the constant 16 but for a
/// last part.
template <class Body>
BELAY_INLINE void each16(Index width, Body body) {
  Index c = 0;
  for (; c + 16 <= width; c += 16) body(c, Index{16});
  if (c < width) body(c, width - c);
}

/// The same of kWidth columns where that is known, a multiple of 16; else of `width`.
template <Index kWidth, class Body>
BELAY_INLINE void each16_of(Index width, Body body) {
  if constexpr (kWidth > 0) {
#pragma GCC unroll 8
    for (Index c = 0; c < kWidth; c += 16) body(c, Index{16});
  } else {
    each16(width, body);
  }
}

BELAY_INLINE float rstd_of(float squares, Index width, float eps) {
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(width) + eps);
}

template <class E>
void norm_forward(const NormRows& rows) {
  using T = typename E::T;
  const NormRows a = rows;
  for (Index r = 0; r < a.rows; ++r) {
    const float* x = a.x + r * a.width;
    float* x_out = a.x_out == nullptr ? nullptr : a.x_out + r * a.width;
    const T* delta = a.delta == nullptr ? nullptr : static_cast<const T*>(a.delta) + r * a.width;
    F32x16 squares = set1(0.0f);
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      F32x16 v = ElemF32::get(x + c, n);
      if (delta != nullptr) v = add(v, E::get(delta + c, n));
      if (x_out != nullptr) ElemF32::put(x_out + c, v, n);
      squares = fma(v, v, squares);
    });
    const float rstd = rstd_of(reduce_add(squares), a.width, a.eps);
    if (a.rstd != nullptr) a.rstd[r] = rstd;
    const float* from = x_out == nullptr ? x : x_out;
    T* h = static_cast<T*>(a.h) + r * a.width;
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      const F32x16 v = mul(ElemF32::get(from + c, n), set1(rstd));
      E::put(h + c, mul(v, ElemF32::get(a.w + c, n)), n);
    });
  }
}

template <class E>
void norm_backward(const NormRows& rows) {
  using T = typename E::T;
  const NormRows a = rows;
  for (Index r = 0; r < a.rows; ++r) {
    const float* x = a.x + r * a.width;
    const T* dh = static_cast<const T*>(a.dh) + r * a.width;
    const F32x16 rstd = set1(a.rstd[r]);
    F32x16 dot = set1(0.0f);
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      const F32x16 hat = mul(ElemF32::get(x + c, n), rstd), g = E::get(dh + c, n);
      if (a.dw != nullptr) ElemF32::put(a.dw + c, fma(g, hat, ElemF32::get(a.dw + c, n)), n);
      dot = fma(mul(g, ElemF32::get(a.w + c, n)), hat, dot);
    });
    if (a.dx == nullptr && a.d_delta == nullptr) continue;
    const F32x16 mean = set1(reduce_add(dot) / static_cast<float>(a.width));
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      const Index at = r * a.width + c;
      const F32x16 hat = mul(ElemF32::get(x + c, n), rstd);
      const F32x16 g = mul(E::get(dh + c, n), ElemF32::get(a.w + c, n));
      F32x16 d = mul(rstd, fnma(hat, mean, g));
      if (a.dx_out != nullptr) d = add(ElemF32::get(a.dx_out + at, n), d);
      if (a.d_delta != nullptr) E::put(static_cast<T*>(a.d_delta) + at, d, n);
      if (a.dx == nullptr) return;
      if (a.add) d = add(ElemF32::get(a.dx + at, n), d);
      ElemF32::put(a.dx + at, d, n);
    });
  }
}

BELAY_INLINE F32x16 sigmoid(F32x16 x) {
  return div(set1(1.0f), add(set1(1.0f), exp(sub(set1(0.0f), x))));
}

/// out = silu(gate) * up, with gate and up side by side in gu's row.
template <class E>
void swiglu_forward(const GateRows& rows) {
  const GateRows a = rows;
  using T = typename E::T;
  for (Index r = 0; r < a.rows; ++r) {
    const T* gate = static_cast<const T*>(a.gu) + r * 2 * a.width;
    T* out = static_cast<T*>(a.out) + r * a.width;
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      const F32x16 g = E::get(gate + c, n), u = E::get(gate + a.width + c, n);
      E::put(out + c, mul(mul(g, sigmoid(g)), u), n);
    });
  }
}

template <class E>
void swiglu_backward(const GateRows& rows) {
  const GateRows a = rows;
  using T = typename E::T;
  for (Index r = 0; r < a.rows; ++r) {
    const T* gate = static_cast<const T*>(a.gu) + r * 2 * a.width;
    const T* d_out = static_cast<const T*>(a.d_out) + r * a.width;
    T* d_gate = static_cast<T*>(a.d_gu) + r * 2 * a.width;
    each16(a.width, [&](Index c, Index n) BELAY_LAMBDA {
      const F32x16 g = E::get(gate + c, n), u = E::get(gate + a.width + c, n);
      const F32x16 d = E::get(d_out + c, n), s = sigmoid(g), silu = mul(g, s);
      // silu'(g) = s (1 + g (1 - s)) = s + silu (1 - s)
      const F32x16 slope = fma(silu, sub(set1(1.0f), s), s);
      E::put(d_gate + c, mul(mul(d, u), slope), n);
      E::put(d_gate + a.width + c, mul(d, silu), n);
    });
  }
}

/// Natural logarithm of a positive normal float, in double: mantissa in [sqrt(1/2), sqrt(2)), atanh
/// series.
BELAY_INLINE double log_of(float x) {
  const std::uint32_t u = float_to_bits(x);
  int exponent = static_cast<int>(u >> 23) - 127;
  double m = static_cast<double>(bits_to_float((u & 0x7fffffu) | 0x3f800000u));
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
  double p = 1.0 / 17;
  for (int k = 15; k >= 1; k -= 2) p = p * s2 + 1.0 / k;
  return 2.0 * s * p + exponent * 0.6931471805599453;
}

/// Log-probability of the target, and, if out is given, the gradient weight * (softmax - one-hot)
/// (and that of the z-loss) in E. Overwrites the logits with their exponentials.
template <class E>
void head_row(const HeadRow& a) {
  using T = typename E::T;
  F32x16 top = set1(-__builtin_inff());
  for (Index c = 0; c < a.vocab; c += 16) {
    const Index n = a.vocab - c;
    const F32x16 v = ElemF32::get(a.logits + c, n);
    top = max(top, n >= 16 ? v : keep_n(v, set1(-__builtin_inff()), n));
  }
  const float most = reduce_max(top);
  const float target = a.target >= 0 ? a.logits[a.target] : 0.0f;
  F32x16 sum = set1(0.0f);
  for (Index c = 0; c < a.vocab; c += 16) {
    const Index n = a.vocab - c;
    F32x16 e = exp(sub(ElemF32::get(a.logits + c, n), set1(most)));
    if (n < 16) e = keep_n(e, set1(0.0f), n);
    ElemF32::put(a.logits + c, e, n);
    sum = add(sum, e);
  }
  const float total = reduce_add(sum);
  const double log_total = log_of(total);
  *a.logprob =
      a.target < 0
          ? 0.0f
          : static_cast<float>(static_cast<double>(target) - static_cast<double>(most) - log_total);
  if (a.out == nullptr) return;
  T* out = static_cast<T*>(a.out);
  // d (-log p + z Z^2) / d logits = p (1 + 2 z Z) - one-hot, Z the log-sum-exp.
  const double lse = static_cast<double>(most) + log_total;
  const auto grow = static_cast<float>(1 + 2 * static_cast<double>(a.z_loss) * lse);
  const F32x16 scale = set1(a.target < 0 ? 0.0f : a.weight * grow / total);
  for (Index c = 0; c < a.vocab; c += 16) {
    const Index n = a.vocab - c;
    E::put(out + c, mul(ElemF32::get(a.logits + c, n), scale), n);
  }
  if (a.target < 0) return;
  const float p = a.logits[a.target] / total;
  T one[16];
  E::put(one, set1(a.weight * (p * grow - 1.0f)), 16);
  out[a.target] = one[0];
}

inline void softmax_row(const SoftmaxRow& a) {
  const F32x16 scale = set1(a.scale), none = set1(-__builtin_inff());
  F32x16 top = none;
  for (Index c = 0; c < a.n; c += 16) {
    const Index n = a.n - c;
    const F32x16 v = mul(ElemF32::get(a.logits + c, n), scale);
    top = max(top, n >= 16 ? v : keep_n(v, none, n));
  }
  const float most = reduce_max(top);
  F32x16 sum = set1(0.0f);
  for (Index block = 0; block < a.n; block += kSoftmaxBlock) {
    const Index end = a.n - block < kSoftmaxBlock ? a.n : block + kSoftmaxBlock;
    F32x16 part = set1(0.0f);
    for (Index c = block; c < end; c += 16) {
      const Index n = a.n - c;
      F32x16 e = exp(sub(mul(ElemF32::get(a.logits + c, n), scale), set1(most)));
      if (n < 16) e = keep_n(e, set1(0.0f), n);
      ElemF32::put(a.e + c, e, n);
      sum = add(sum, e);
      part = add(part, e);
    }
    a.sums[block / kSoftmaxBlock] = reduce_add(part);
  }
  *a.most = most;
  *a.log_sum = log_of(reduce_add(sum));
}

/// to[i] += from[i]
inline void add_row(float* to, const float* from, Index n) {
  for (Index c = 0; c < n; c += 16) {
    ElemF32::put(to + c, add(ElemF32::get(to + c, n - c), ElemF32::get(from + c, n - c)), n - c);
  }
}

/// to[i] (+)= E from[i]: column sums of a bias gradient, row by row.
template <class E>
void add_converted(float* to, const void* from, Index n) {
  const auto* f = static_cast<const typename E::T*>(from);
  for (Index c = 0; c < n; c += 16) {
    ElemF32::put(to + c, add(ElemF32::get(to + c, n - c), E::get(f + c, n - c)), n - c);
  }
}

/// to[i] = scale from[i].
template <class E>
void scale_row(void* to, float scale, const float* from, Index n) {
  auto* t = static_cast<typename E::T*>(to);
  for (Index c = 0; c < n; c += 16) {
    E::put(t + c, mul(set1(scale), ElemF32::get(from + c, n - c)), n - c);
  }
}

/// Sum of squares of n floats.
inline float sum_squares(const float* x, Index n) {
  F32x16 sum = set1(0.0f);
  for (Index c = 0; c < n; c += 16) {
    const F32x16 v = ElemF32::get(x + c, n - c);
    sum = fma(v, v, sum);
  }
  return reduce_add(sum);
}

/// Decoupled weight decay Adam: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019.
inline void adamw(const AdamwRows& rows) {
  const AdamwRows a = rows;
  const F32x16 b1 = set1(a.beta1), c1 = set1(1.0f - a.beta1), b2 = set1(a.beta2),
               c2 = set1(1.0f - a.beta2);
  const F32x16 scale = set1(a.grad_scale), keep = set1(1.0f - a.lr * a.decay);
  const F32x16 step = set1(a.lr / a.correction1), root = set1(1.0f / a.correction2);
  for (Index c = 0; c < a.n; c += 16) {
    const Index n = a.n - c;
    const F32x16 g = mul(ElemF32::get(a.g + c, n), scale);
    const F32x16 m = fma(b1, ElemF32::get(a.m + c, n), mul(c1, g));
    const F32x16 v = fma(b2, ElemF32::get(a.v + c, n), mul(c2, mul(g, g)));
    const F32x16 by = add(sqrt(mul(v, root)), set1(a.eps));
    const F32x16 w = mul(keep, ElemF32::get(a.w + c, n));
    ElemF32::put(a.m + c, m, n);
    ElemF32::put(a.v + c, v, n);
    ElemF32::put(a.w + c, fnma(step, div(m, by), w), n);
  }
}

/// out[i] = a * x[i] + b * y[i]
inline void combine(float* out, float a, const float* x, float b, const float* y, Index n) {
  for (Index c = 0; c < n; c += 16) {
    const F32x16 v = mul(set1(b), ElemF32::get(y + c, n - c));
    ElemF32::put(out + c, fma(set1(a), ElemF32::get(x + c, n - c), v), n - c);
  }
}

}  // namespace belay::ops::simd::BELAY_ISA
