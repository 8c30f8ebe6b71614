// SwiGLU (Shazeer, "GLU variants improve transformer", 2020): a = silu(g) u, silu(z) = z / (1 +
// e^-z), with g and u side by side in one row.
#pragma once

#include <cmath>

#include "tensor/tape.h"

namespace belay::ops {

/// gu: [T, 2F], gate first; a: [T, F], of the same type.
void swiglu_forward(base::Context& ctx, const tensor::View& gu, const tensor::View& a);
/// d_gu: [T, 2F].
void swiglu_backward(base::Context& ctx, const tensor::View& gu, const tensor::View& da,
                     const tensor::View& d_gu);
/// Records the operation; returns a.
tensor::Id swiglu(tensor::Tape& tape, tensor::Id gu);

/// The slow twin of one row.
template <class R>
void swiglu_reference(const R* gu, R* a, std::int64_t F) {
  using std::exp;
  for (std::int64_t f = 0; f < F; ++f) a[f] = gu[f] / (R(1) + exp(-gu[f])) * gu[F + f];
}

}  // namespace belay::ops
