// Pretraining: the loop. It knows no files and prints nothing: each step is reported to the caller.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "data/batches.h"
#include "data/dataset.h"
#include "model/model.h"
#include "train/loop_state.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace belay::train {

struct PretrainOptions {
  std::int64_t batch_tokens = 0;  // of a step; a multiple of micro_tokens
  std::int64_t micro_tokens = 0;  // computed at a time; a multiple of the context
  std::int64_t steps = 0;         // 0: as many as max_seconds allows
  double max_seconds = 0;         // 0: no limit
  Schedule schedule = {};
  OptimizerOptions optimizer = {};
  double z_loss = 0;        // weight of the squared log-sum-exp in the loss; ops/output_head.h
  bool checkpoint = false;  // recompute blocks in backward
};

/// Rows and where they come from.
struct TrainingData {
  const data::Dataset& set;
  const data::Batches& batches;  // of its training split
  /// "books.txt, document 12, byte 3456": where a row begins.
  std::string locate_row(std::int64_t row) const;
};

struct RowLoss {
  std::int64_t row = -1;  // of the run; -1: none
  double loss = -1;       // nats per token
};
using WorstRows = std::array<RowLoss, 3>;

struct StepInfo {
  std::int64_t step = 0;  // from 1: steps that are done
  std::int64_t tokens = 0;
  std::int64_t first_row = 0;  // of the step's rows
  double seconds = 0;          // of training, over all processes
  double progress = 0;         // 0 to 1
  double loss = 0;             // nats per token
  double lr = 0;
  double grad_norm = 0;
  bool skipped = false;    // the gradients were not finite: nothing was changed
  std::string not_finite;  // then a weight whose gradient is not
  WorstRows worst;         // the highest loss first
  bool spike = false;      // the loss is far above what it was lately
};

enum class Ending : std::uint8_t {
  kDone,       // the steps, or the seconds that the schedule counts, are used up
  kOutOfTime,  // max_seconds came before the last step
  kStopped,    // `stop` was set
};

/// Trains from `state` on, which is kept up to date, until the steps or the seconds are used up, or
/// stop is set. Weights, optimizer and state after a step are a function of those before it and of
/// the options alone. Fails when on_step does, and after three steps in a row whose gradients were
/// not finite; the weights are then those of the last good step.
base::Result<Ending> pretrain(base::Context& ctx, base::Env& env, model::Model& model,
                              Optimizer& optimizer, const TrainingData& data,
                              const PretrainOptions& options, LoopState& state,
                              const std::atomic<bool>& stop,
                              const std::function<base::Status(const StepInfo&)>& on_step);

}  // namespace belay::train
