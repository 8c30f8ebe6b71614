// Linear: y = x W^T (+ bias), W stored [out, in] as Hugging Face does. Products read packed copies
// of W in the compute type (matmul.h); the f32 master is what the optimizer owns and the gradient
// belongs to.
#pragma once

#include "tensor/tape.h"

namespace belay::ops {

/// x: [T, in]; packed: packed_forward_shape(out, in, its type); bias: f32 [out] or absent; y:
/// [T, out]; scratch: multiply_scratch() bytes, where packed is quantized.
void linear_forward(base::Context& ctx, const tensor::View& x, const tensor::View& packed,
                    const tensor::View& bias, const tensor::View& y, std::byte* scratch = nullptr);

struct LinearGradient {
  tensor::View x, dy;   // [T, in], [T, out]
  tensor::View packed;  // packed_backward_shape(out, in)
  tensor::View dx;      // [T, in] or absent
  tensor::View dw;      // f32 [out, in] or absent
  tensor::View d_bias;  // f32 [out] or absent
  bool add_dx = false, add_dw = false, add_d_bias = false;
  std::byte* scratch = nullptr;
};
void linear_backward(base::Context& ctx, const LinearGradient& g);
std::int64_t linear_scratch(std::int64_t rows, std::int64_t in, std::int64_t out,
                            tensor::DType dtype, int n_threads);

/// A matrix on the tape: the master (whose gradient is summed; for inference only its shape is
/// there) and its packed copies.
struct Matrix {
  tensor::Id master = tensor::kNone, forward = tensor::kNone, backward = tensor::kNone;
};
/// Records the operation; returns y in the type of x.
tensor::Id linear(tensor::Tape& tape, tensor::Id x, const Matrix& w,
                  tensor::Id bias = tensor::kNone);

/// The slow twin of one row.
template <class R>
void linear_reference(const R* x, const R* w, const R* bias, R* y, std::int64_t in,
                      std::int64_t out) {
  for (std::int64_t o = 0; o < out; ++o) {
    R sum = bias == nullptr ? R(0) : bias[o];
    for (std::int64_t i = 0; i < in; ++i) sum += x[i] * w[o * in + i];
    y[o] = sum;
  }
}

}  // namespace belay::ops
