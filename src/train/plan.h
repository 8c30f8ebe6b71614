// What a run will take, known before it is taken, and a refusal that names what would fit. Memory
// is exact where it is the run's own (arenas and arrays whose sizes follow from shapes); speed
// comes from a few real steps of the real shape. `belay plan` and `belay pretrain` print the same
// plan; run.json keeps it as "plan", beside "measured".
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "train/pretrain.h"

namespace belay::train {

class Step;

struct PretrainPlan {
  std::int64_t n_params = 0;
  double flops_per_token = 0;         // forward and backward
  std::int64_t state_bytes = 0;       // weights, gradients, packed copies, optimizer
  std::int64_t step_bytes = 0;        // activations of a micro-batch
  std::int64_t process_bytes = 0;     // the program and its data, before the model is made
  std::int64_t validation_bytes = 0;  // activations of a validation
  bool validates_on_the_way = false;  // beside a step, not only after the last one
  bool saves_on_the_way = false;      // a checkpoint, whose weights are then read back for model/
  // What follows from a calibration; 0: not known.
  double tokens_per_second = 0;
  double steps = 0, tokens = 0, seconds = 0;
  std::int64_t disk_bytes = 0;  // the run folder: the model and the last two checkpoints
  double price_per_hour = 0;    // of any currency

  /// The most at one time: in training, or at the end, when a step's activations are gone.
  std::int64_t memory_bytes() const {
    const std::int64_t training = step_bytes + (validates_on_the_way ? validation_bytes : 0) +
                                  (saves_on_the_way ? 4 * n_params : 0);
    return process_bytes + state_bytes + std::max(training, validation_bytes);
  }
  std::int64_t other_bytes() const { return memory_bytes() - state_bytes - step_bytes; }
  double flops() const { return flops_per_token * tokens; }
  double price() const { return price_per_hour * seconds / 3600; }
};

/// n_params, flops_per_token, state_bytes, process_bytes and disk_bytes. Fails when the state of a
/// model of this depth does not fit in the memory that is left.
base::Result<PretrainPlan> plan_state(base::Env& env, const model::ModelConfig& config,
                                      tensor::DType compute, std::int64_t context,
                                      const PretrainOptions& options);

/// Fills in step_bytes and validation_bytes. Fails when the activations do not fit beside the
/// model, which is there.
base::Status plan_step(base::Context& ctx, base::Env& env, const model::Model& model,
                       std::int64_t context, const PretrainOptions& options, PretrainPlan& plan);

/// Puts the rows of a micro-batch into a step's batch: the m-th of the run.
using FillBatch = std::function<void(Step&, std::int64_t m)>;

/// Seconds of a step, from a few real ones at a learning rate of zero: no weight changes, gradients
/// do. Takes the memory of a step and an optimizer for as long as it runs: about budget_seconds,
/// and two micro-batches at least.
double calibrate(base::Context& ctx, base::Env& env, model::Model& model, std::int64_t context,
                 const PretrainOptions& options, const FillBatch& fill, double budget_seconds);

/// Fills in tokens_per_second, steps, tokens and seconds from the seconds of a step.
void plan_time(const PretrainOptions& options, double step_seconds, PretrainPlan& plan);

/// What it costs, a line each for memory, time, disk and money; what is not known is left out.
std::string cost_text(const PretrainPlan& plan);

/// {"parameters", "flops_per_token", "state_bytes", "step_bytes", "other_bytes", "memory_bytes",
/// "tokens_per_second", "steps", "tokens", "seconds", "flops", "disk_bytes", "price_per_hour",
/// "price"}; what is not known is left out.
nlohmann::ordered_json plan_json(const PretrainPlan& plan);

/// What came of it, with the same names: memory is the most that this process ever held, disk what
/// the run folder holds now.
nlohmann::ordered_json measured_json(base::Env& env, const std::string& run_folder,
                                     const PretrainPlan& plan, double tokens, double seconds);

/// Bytes of the files in a folder and below it; what cannot be read counts nothing.
std::int64_t folder_bytes(base::Env& env, const std::string& folder);

}  // namespace belay::train
