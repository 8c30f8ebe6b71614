// What a run will take, known before it is taken, and a refusal that names what would fit.
#pragma once

#include <cstdint>

#include "base/env.h"
#include "base/status.h"
#include "train/pretrain.h"

namespace belay::train {

struct PretrainPlan {
  std::int64_t n_params = 0;
  double flops_per_token = 0;    // forward and backward
  std::int64_t state_bytes = 0;  // weights, gradients, packed copies, optimizer
  std::int64_t step_bytes = 0;   // activations of a micro-batch
};

/// Everything but step_bytes. Fails when the state of a model of this depth does not fit in the
/// memory that is left.
base::Result<PretrainPlan> plan_state(base::Env& env, const model::ModelConfig& config,
                                      tensor::DType compute, std::int64_t context,
                                      const PretrainOptions& options);

/// Fills in step_bytes. Fails when the activations do not fit beside the model, which is there.
base::Status plan_step(base::Context& ctx, base::Env& env, const model::Model& model,
                       std::int64_t context, const PretrainOptions& options, PretrainPlan& plan);

}  // namespace belay::train
