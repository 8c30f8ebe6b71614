// How near two models are that should be the same: the largest difference of a weight, and along a
// text, continued greedily by the first, the divergence of what they predict.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/env.h"
#include "base/status.h"
#include "model/hf_folder.h"

namespace belay::convert {

struct WeightDifference {
  double largest = 0;  // |a - b|
  std::string where;   // the weight; empty when all are equal
};
/// Of two models of one weight table; kCorrupt where the tables differ.
base::Result<WeightDifference> weight_difference(const model::LoadedModel& a,
                                                 const model::LoadedModel& b);

/// KL(a || b) of two predictions, given their logits; in nats.
double divergence(std::span<const float> a, std::span<const float> b);

struct Parity {
  WeightDifference weights;
  std::vector<std::int32_t> greedy;  // ids that the first model goes on with
  std::size_t n_same = 0;            // of them that the second would have chosen, too
  std::size_t n_positions = 0;       // predictions compared
  double mean_kl = 0;                // KL(a || b) of a prediction, in nats
};

/// prompt: at least one id. Both models are taken, and computed in f32.
base::Result<Parity> compare_models(base::Context& ctx, base::Env& env, model::LoadedModel a,
                                    model::LoadedModel b, std::span<const std::int32_t> prompt,
                                    std::int64_t n_greedy);

}  // namespace belay::convert
