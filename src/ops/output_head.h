// Output layer: logits = h E^T, a row at a time reduced to log p(target) and never held as [T, V].
//   cross_entropy:    loss = -sum_t weight_t log p_t; forward and backward are one pass, which
//   writes dh and
//                     adds to dE.
//                     With z_loss z, dh and dE are also of sum_t weight_t z Z_t^2, Z_t the row's
//                     log-sum-exp, which keeps logits from drifting; the loss that is reported
//                     stays -log p. Chowdhery et al., "PaLM", 2022, section 5 (z = 1e-4).
//   logprob_gather:   log p_t of given ids; backward takes d log p and computes the logits again.
// Both, and scoring, use one function for the logits and one order of the log-sum-exp. Rows are
// taken in chunks; a worker holds the f32 logits of one chunk, at most kHeadRows x V.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <span>
#include <vector>

#include "ops/linear.h"
#include "tensor/tape.h"

namespace belay::ops {

constexpr std::int64_t kHeadRows = 48;     // rows of logits a worker holds in f32
constexpr std::int64_t kHeadChunk = 1024;  // rows whose gradients of logits are held at a time

struct HeadViews {
  tensor::View h;        // [T, C]
  tensor::View forward;  // packed_forward_shape(V, C, its type)
  tensor::View targets;  // i32 [T]; negative: none, log p = 0 and no gradient
  tensor::View logprob;  // f32 [T]
  // For gradients of sum_t weight_t * -log p_t:
  tensor::View backward;  // packed_backward_shape(V, C)
  tensor::View weight;    // f32 [T]
  tensor::View dh;        // [T, C] or absent
  tensor::View dw;        // f32 [V, C] or absent
  bool add_dw = false;
  float z_loss = 0;
  std::byte* scratch = nullptr;
  std::int64_t vocab = 0;
};

void output_head(base::Context& ctx, const HeadViews& v);
std::int64_t output_head_scratch(std::int64_t rows, std::int64_t vocab, std::int64_t width,
                                 tensor::DType dtype, int n_threads, bool gradients,
                                 bool quantized = false);

/// All logits of each row: f32 [T, V]; for sampling, where T is the number of sequences. scratch:
/// multiply_scratch() bytes, where forward is quantized.
void logits(base::Context& ctx, const tensor::View& h, const tensor::View& forward,
            const tensor::View& out, std::byte* scratch = nullptr);

constexpr std::size_t kSoftmaxBlock = 256;
constexpr std::size_t softmax_blocks(std::size_t n) {
  return (n + kSoftmaxBlock - 1) / kSoftmaxBlock;
}
/// The distribution of one row at a temperature: scale = 1 / temperature.
struct Softmax {
  float scale = 1, most = 0;  // most = max scale z
  double log_sum = 0;         // of e
  /// log p of the id whose logit is z; at scale 1 the bits that training and scoring compute.
  float logprob(float z) const {
    return static_cast<float>(static_cast<double>(z * scale) - static_cast<double>(most) - log_sum);
  }
};
/// e[i] = exp(scale z[i] - most); sums: of every kSoftmaxBlock numbers of e.
Softmax softmax(base::Context& ctx, std::span<const float> logits, float scale, std::span<float> e,
                std::span<float> sums);

struct Loss {
  tensor::Id loss, logprob;  // f32 [1], f32 [T]
};
/// weight: f32 [T], each token's share of the loss (1 / tokens for the mean). z_loss: at least 0.
Loss cross_entropy(tensor::Tape& tape, tensor::Id h, const Matrix& head, tensor::Id targets,
                   tensor::Id weight, float z_loss = 0);
tensor::Id logprob_gather(tensor::Tape& tape, tensor::Id h, const Matrix& head, tensor::Id targets);
tensor::Id logits(tensor::Tape& tape, tensor::Id h, const Matrix& head);

/// The slow twin of one row: log p(target).
template <class R>
R logprob_reference(const R* h, const R* w, std::int64_t V, std::int64_t C, std::int64_t target) {
  using std::exp, std::log, std::real;
  double top = -INFINITY;
  std::vector<R> z(static_cast<std::size_t>(V));
  for (std::int64_t v = 0; v < V; ++v) {
    R s = 0;
    for (std::int64_t c = 0; c < C; ++c) s += h[c] * w[v * C + c];
    z[static_cast<std::size_t>(v)] = s;
    top = std::max(top, static_cast<double>(real(s)));
  }
  R sum = 0;
  for (const R& s : z) sum += exp(s - R(top));
  return z[static_cast<std::size_t>(target)] - R(top) - log(sum);
}

}  // namespace belay::ops
