// Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon): momentum whose update is
// replaced by its nearest semi-orthogonal matrix, found by five Newton-Schulz iterations
//   X = a X + (b A + c A A) X,  A = X X^T,  (a, b, c) = (3.4445, -4.7750, 2.0315),
// on the matrix with rows <= columns, scaled by sqrt(max(1, rows / columns)).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/context.h"
#include "tensor/dtype.h"

namespace belay::ops {

struct MuonOptions {
  float lr = 0.02f, momentum = 0.95f, decay = 0;
  bool nesterov = true;
  float grad_scale = 1;
  tensor::DType dtype = tensor::DType::kF32;  // of the products in Newton-Schulz
};

/// One step on w: f32 [rows, columns], g its gradient, buffer its momentum. scratch: muon_scratch()
/// bytes for options.dtype.
void muon_step(base::Context& ctx, float* w, const float* g, float* buffer, std::int64_t rows,
               std::int64_t columns, const MuonOptions& options, std::byte* scratch);
std::int64_t muon_scratch(std::int64_t rows, std::int64_t columns, tensor::DType dtype);

}  // namespace belay::ops
