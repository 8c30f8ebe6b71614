// Rotary position embedding with QK-norm (Su et al., "RoFormer", 2021; Henry et al., "Query-key
// normalization", 2020). Each head of q and k is RMS-normalized over D (Qwen3; optional), then
// element i and i + D/2 are turned by the angle position * theta^(-2i/D), the pairing of Hugging
// Face. v is copied.
#pragma once

#include <cmath>
#include <optional>
#include <vector>

#include "tensor/tape.h"

namespace belay::ops {

/// Frequency scaling of Llama 3.x; see model::Llama3Rope.
struct RopeScaling {
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4, original_max_position = 8192;
};

/// cos and sin of every angle, each f32 [positions, D/2], computed in double without recurrence.
struct RopeTable {
  std::vector<float> cos, sin;
};
RopeTable rope_table(std::int64_t positions, std::int64_t head_dim, double theta,
                     const std::optional<RopeScaling>& scaling);

struct RopeShape {
  std::int64_t n_heads, n_kv_heads, head_dim;
  float eps;
};

/// qkv, out: [T, (H + 2 Hkv) D], may not alias; positions: i32 [T]; cos, sin: f32 [P, D/2];
/// q_weight, k_weight: f32 [D] or both absent.
struct RopeViews {
  tensor::View qkv, out, positions, cos, sin, q_weight, k_weight;
  tensor::View d_out, d_qkv, dq_weight, dk_weight;  // backward
  bool add_dq = false, add_dk = false;
  std::byte* scratch = nullptr;
};
void rope_forward(base::Context& ctx, const RopeShape& s, const RopeViews& v);
void rope_backward(base::Context& ctx, const RopeShape& s, const RopeViews& v);

struct RopeInputs {
  tensor::Id positions, cos, sin, q_weight = tensor::kNone, k_weight = tensor::kNone;
};
/// Records the operation; returns the turned qkv. A large one is computed again in backward instead
/// of being kept: it costs little time and much memory.
tensor::Id rope(tensor::Tape& tape, tensor::Id qkv, const RopeInputs& in, const RopeShape& shape);

/// The slow twin of one head of one token (w null: no norm).
template <class R>
void rope_reference(const R* x, const R* w, R* y, std::int64_t D, double position, double theta,
                    double eps) {
  using std::cos, std::sin, std::pow, std::sqrt;
  R rstd = 1;
  if (w != nullptr) {
    R mean = 0;
    for (std::int64_t i = 0; i < D; ++i) mean += x[i] * x[i];
    rstd = R(1) / sqrt(mean / R(static_cast<double>(D)) + R(eps));
  }
  for (std::int64_t i = 0; i < D / 2; ++i) {
    const double angle =
        position * pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(D));
    const R a = w == nullptr ? x[i] : x[i] * rstd * w[i];
    const R b = w == nullptr ? x[i + D / 2] : x[i + D / 2] * rstd * w[i + D / 2];
    y[i] = a * R(cos(angle)) - b * R(sin(angle));
    y[i + D / 2] = b * R(cos(angle)) + a * R(sin(angle));
  }
}

}  // namespace belay::ops
