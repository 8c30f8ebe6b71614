// What `belay plan` and `belay pretrain` share: the plan of a run, and the speed of a few real
// steps.
#pragma once

#include "cli/pretrain_data.h"
#include "train/plan.h"

namespace belay::cli {

/// The shape of the run's model: that of --depth, with a vocabulary of the data's, rounded up, or
/// that of the --from folder, which must go with the data.
base::Result<model::ModelConfig> config_of_run(base::Env& env, const PretrainArguments& arguments,
                                               const data::Dataset& set);

/// What was left open, by the dial (train/dial.h): batch, learning rates, length; checked against
/// the data. options: from resolve().
base::Status apply_dial(const PretrainArguments& arguments, const model::ModelConfig& config,
                        const data::Dataset& set, train::PretrainOptions& options);

/// Fills in the plan's time from a few steps on the run's data; no weight changes. Takes a second
/// at most beyond three micro-batches, and for a short run less.
void measure_time(base::Env& env, Compute& compute, model::Model& model,
                  const PretrainArguments& arguments, const train::PretrainOptions& options,
                  const data::Dataset& set, train::PretrainPlan& plan);

}  // namespace belay::cli
