// AdamW (Loshchilov, Hutter, 2019): m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
//   w = (1 - lr decay) w - lr m' / (sqrt(v') + eps),  with bias-corrected m', v'. All f32, element
//   by element.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "base/context.h"

namespace belay::ops {

struct AdamwOptions {
  float lr = 3e-4f, beta1 = 0.9f, beta2 = 0.95f, eps = 1e-8f;
  std::int64_t step = 1;  // counts from 1
  float grad_scale = 1;   // clipping
};

/// n floats each.
struct AdamwTensor {
  float* w;
  const float* g;
  float *m, *v;
  std::int64_t n;
  float decay = 0;
};

void adamw_step(base::Context& ctx, std::span<const AdamwTensor> tensors,
                const AdamwOptions& options);

/// Sum of squares of n floats: f32 inside chunks of 8192, the chunks in order in double.
double sum_of_squares(base::Context& ctx, const float* x, std::int64_t n);

/// The slow twin, of one element.
template <class R>
void adamw_reference(R& w, R g, R& m, R& v, double lr, double b1, double b2, double eps,
                     double decay, std::int64_t step) {
  using std::pow, std::sqrt;
  m = R(b1) * m + R(1 - b1) * g;
  v = R(b2) * v + R(1 - b2) * g * g;
  const R m_hat = m / R(1 - pow(b1, static_cast<double>(step)));
  const R v_hat = v / R(1 - pow(b2, static_cast<double>(step)));
  w = R(1 - lr * decay) * w - R(lr) * m_hat / (sqrt(v_hat) + R(eps));
}

}  // namespace belay::ops
