// Residual add and RMSNorm in one pass over the row (Zhang, Sennrich, "Root mean square layer
// normalization", 2019):   x' = x + delta,   h = x' / sqrt(mean(x'^2) + eps) * w.
// The residual stream x is f32; delta and h have the compute type.
#pragma once

#include <cmath>

#include "tensor/tape.h"

namespace belay::ops {

/// x: f32 [T, C]; delta: [T, C] or absent; w: f32 [C]; x_out: f32 [T, C], absent without delta;
/// h: [T, C]; rstd: f32 [T].
void rmsnorm_forward(base::Context& ctx, const tensor::View& x, const tensor::View& delta,
                     const tensor::View& w, const tensor::View& x_out, const tensor::View& h,
                     const tensor::View& rstd, float eps);

struct RmsnormGradient {
  tensor::View x;  // x' of forward
  tensor::View w, rstd;
  tensor::View dh;       // [T, C]
  tensor::View dx_out;   // f32 [T, C], or absent
  tensor::View dx;       // f32 [T, C] or absent; may be dx_out
  tensor::View d_delta;  // [T, C] or absent
  tensor::View dw;       // f32 [C] or absent
  bool add_dx = false, add_dw = false;
  std::byte* scratch = nullptr;
};
void rmsnorm_backward(base::Context& ctx, const RmsnormGradient& g);
std::int64_t rmsnorm_scratch(std::int64_t rows, std::int64_t width);

struct Normed {
  tensor::Id x, h;
};
/// Records the operation; h has `dtype`. delta kNone: no residual add, x is returned as it came.
Normed rmsnorm(tensor::Tape& tape, tensor::Id x, tensor::Id delta, tensor::Id w,
               tensor::DType dtype, float eps);

/// The slow twin of one row: writes x' and h.
template <class R>
void rmsnorm_reference(const R* x, const R* delta, const R* w, R* x_out, R* h, std::int64_t C,
                       double eps) {
  R mean = 0;
  for (std::int64_t c = 0; c < C; ++c) {
    x_out[c] = delta == nullptr ? x[c] : x[c] + delta[c];
    mean += x_out[c] * x_out[c];
  }
  using std::sqrt;
  const R rstd = R(1) / sqrt(mean / R(static_cast<double>(C)) + R(eps));
  for (std::int64_t c = 0; c < C; ++c) h[c] = x_out[c] * rstd * w[c];
}

}  // namespace belay::ops
