// Embedding: x[t] = E[ids[t]]. Rows are f32, the start of the residual stream.
#pragma once

#include "ops/linear.h"
#include "tensor/tape.h"

namespace belay::ops {

/// ids: i32 [T], each in [0, V); weight: f32 [V, C]; x: f32 [T, C].
void embedding_forward(base::Context& ctx, const tensor::View& ids, const tensor::View& weight,
                       const tensor::View& x);
/// d_weight[ids[t]] += dx[t], in token order; cleared first unless add.
void embedding_backward(base::Context& ctx, const tensor::View& ids, const tensor::View& dx,
                        const tensor::View& d_weight, bool add);

/// The same from a packed matrix of any type (ops/matmul.h): what is read of it for a token is
/// little beside what its products read, and there is no second copy.
void embedding_packed(base::Context& ctx, const tensor::View& ids, const tensor::View& packed,
                      const tensor::View& x);

/// Records the operation; returns x. A table without master is packed.
tensor::Id embedding(tensor::Tape& tape, tensor::Id ids, tensor::Id weight);
tensor::Id embedding(tensor::Tape& tape, tensor::Id ids, const Matrix& table);

/// The slow twin: x[t * C + c] = w[ids[t] * C + c].
template <class R>
void embedding_reference(const std::int32_t* ids, const R* w, R* x, std::int64_t T,
                         std::int64_t C) {
  for (std::int64_t t = 0; t < T; ++t) {
    for (std::int64_t c = 0; c < C; ++c) x[t * C + c] = w[ids[t] * C + c];
  }
}

}  // namespace belay::ops
