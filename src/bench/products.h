// The matrix products of a training step, read off its tape, and the time of each alone: its
// operands near, no other work between. Together they bound the rate of the step.
#pragma once

#include <string_view>
#include <vector>

#include "base/context.h"
#include "bench/onednn.h"
#include "bench/timing.h"
#include "tensor/tape.h"

namespace belay::bench {

enum class Pass : std::uint8_t { kForward, kInputGradient, kWeightGradient };
/// "forward", "input gradient", "weight gradient".
std::string_view pass_name(Pass pass);

/// x: [rows, in], y: [rows, out]: y = x W^T; dx = dy W; dW = dy^T x.
struct StepProduct {
  Pass pass;
  std::int64_t rows, in, out;
  std::int64_t calls = 0;  // in a step
  double seconds = 0;      // of one call, the fastest
  friend auto operator<=>(const StepProduct&, const StepProduct&) = default;

  /// y[m, n] = a[m, k] b[k, n], as any library would see it.
  MatmulShape matmul() const;
  double rate() const { return matmul().flops() / seconds; }
};

/// The products of linear operations and of the output layer (in its chunks of rows), equal ones
/// counted. Attention is not among them.
std::vector<StepProduct> products_of(const tensor::Tape& tape, std::int64_t vocab);

/// Seconds of one call through ops::multiply or ops::multiply_transposed.
double time_product(base::Context& ctx, const StepProduct& product, tensor::DType dtype,
                    const Repeats& repeats);

/// FLOP/s of all of them, each as often as the step calls it.
double products_rate(const std::vector<StepProduct>& products);

}  // namespace belay::bench
