// The z-loss: gradients of sum_t w_t (-log p_t + z Z_t^2) against finite differences in double.
#include <gtest/gtest.h>

#include <cmath>

#include "base/buffer.h"
#include "base/rng.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include "ops/output_head.h"

namespace belay {
namespace {

using tensor::DType;
using tensor::View;

constexpr std::int64_t kT = 7, kV = 97, kC = 38;
constexpr double kZ = 0.05;

/// The loss in double, with one number of h or w moved.
double loss_of(const std::vector<float>& h, const std::vector<float>& w,
               const std::vector<std::int32_t>& targets, const std::vector<float>& weight,
               std::int64_t index, double by) {
  const auto at = [&](const std::vector<float>& x, std::int64_t i, std::int64_t first) {
    return static_cast<double>(x[static_cast<std::size_t>(i)]) + (first + i == index ? by : 0);
  };
  double loss = 0;
  for (std::int64_t t = 0; t < kT; ++t) {
    const auto row = static_cast<std::size_t>(t);
    if (targets[row] < 0) continue;
    double sum = 0, target = 0;
    for (std::int64_t v = 0; v < kV; ++v) {
      double z = 0;
      for (std::int64_t c = 0; c < kC; ++c) z += at(h, t * kC + c, 0) * at(w, v * kC + c, kT * kC);
      sum += std::exp(z);
      if (v == targets[row]) target = z;
    }
    const double lse = std::log(sum);
    loss += static_cast<double>(weight[row]) * (lse - target + kZ * lse * lse);
  }
  return loss;
}

TEST(ZLoss, GradientsAreThoseOfTheFormulaOnEveryInstructionSet) {
  const base::Rng rng(3, base::Purpose::kTest);
  std::vector<float> h(kT * kC), w(kV * kC), weight(kT, 1.0f / kT);
  for (std::size_t i = 0; i < h.size(); ++i) h[i] = rng.normal(i);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = 0.2f * rng.normal(h.size() + i);
  std::vector<std::int32_t> targets = {5, 96, -1, 0, 33, 64, 7};
  base::ThreadPool pool(2);
  for (const base::Isa isa : base::supported_isas()) {
    base::Context ctx{pool, isa};
    const View master{w.data(), {kV, kC}, DType::kF32};
    const tensor::Shape forward_shape = ops::packed_forward_shape(kV, kC);
    const tensor::Shape backward_shape = ops::packed_backward_shape(kV, kC);
    std::vector<float> forward(static_cast<std::size_t>(forward_shape.count()));
    std::vector<float> backward(static_cast<std::size_t>(backward_shape.count()));
    const View packed{forward.data(), forward_shape, DType::kF32};
    const View packed_backward{backward.data(), backward_shape, DType::kF32};
    ops::pack_weight(ctx, master, packed, packed_backward);
    std::vector<float> logprob(kT), dh(h.size()), dw(w.size());
    const base::Buffer scratch(ops::output_head_scratch(kT, kV, kC, DType::kF32, 2, true));
    ops::HeadViews v;
    v.h = {h.data(), {kT, kC}, DType::kF32};
    v.forward = packed;
    v.backward = packed_backward;
    v.targets = {targets.data(), {kT}, DType::kI32};
    v.logprob = {logprob.data(), {kT}, DType::kF32};
    v.weight = {weight.data(), {kT}, DType::kF32};
    v.dh = {dh.data(), {kT, kC}, DType::kF32};
    v.dw = {dw.data(), {kV, kC}, DType::kF32};
    v.scratch = scratch.data();
    v.vocab = kV;
    v.z_loss = static_cast<float>(kZ);
    ops::output_head(ctx, v);
    const auto expect_slope = [&](std::int64_t index, float seen) {
      constexpr double kStep = 1e-4;
      const double slope = (loss_of(h, w, targets, weight, index, kStep) -
                            loss_of(h, w, targets, weight, index, -kStep)) /
                           (2 * kStep);
      EXPECT_NEAR(static_cast<double>(seen), slope, 2e-5) << index;
    };
    for (std::int64_t i = 0; i < kT * kC; i += 5) expect_slope(i, dh[static_cast<std::size_t>(i)]);
    for (std::int64_t i = 0; i < kV * kC; i += 67) {
      expect_slope(kT * kC + i, dw[static_cast<std::size_t>(i)]);
    }
  }
}

}  // namespace
}  // namespace belay
