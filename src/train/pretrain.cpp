#include "train/pretrain.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "train/step.h"

namespace belay::train {
namespace {

using base::Result;
using base::Status;

constexpr std::int64_t kMaxSkippedInARow = 3;

/// Buffers of a micro-batch, kept so that steps allocate nothing.
struct Rows {
  std::vector<std::int32_t> ids, targets;
  std::vector<std::int64_t> lengths;
};

/// Keeps the rows of the highest loss, the highest first.
void keep_worst(WorstRows& worst, RowLoss row) {
  for (RowLoss& kept : worst) {
    if (row.loss > kept.loss) std::swap(row, kept);
  }
}

/// Mean loss of each row of a micro-batch that was just computed.
void note_rows(const Step& step, const Rows& rows, std::int64_t context, std::int64_t first_row,
               WorstRows& worst) {
  const std::span<const float> logprobs = step.logprobs();
  const auto width = static_cast<std::size_t>(context);
  for (std::size_t begin = 0; begin < logprobs.size(); begin += width) {
    double nats = 0, n = 0;
    for (std::size_t i = begin; i < begin + width; ++i) {
      if (rows.targets[i] < 0) continue;
      nats -= static_cast<double>(logprobs[i]);
      ++n;
    }
    if (n > 0) keep_worst(worst, {first_row + static_cast<std::int64_t>(begin / width), nats / n});
  }
}

/// The gradients of one step, micro-batch after micro-batch; fills in the loss and its rows.
void gradients(Step& step, const data::Batches& batches, const PretrainOptions& options, Rows& rows,
               StepInfo& info) {
  const std::int64_t n_micro = options.batch_tokens / options.micro_tokens;
  const std::int64_t micro_rows = options.micro_tokens / batches.context();
  for (std::int64_t m = 0; m < n_micro; ++m) {
    const std::int64_t row = info.first_row + m * micro_rows;
    batches.fill(row, micro_rows, rows.ids, rows.targets, rows.lengths);
    step.batch().set(rows.ids, rows.targets, rows.lengths, 1.0 / static_cast<double>(n_micro));
    info.loss += static_cast<double>(step.run(m > 0));
    note_rows(step, rows, batches.context(), row, info.worst);
  }
}

double progress_of(const PretrainOptions& options, std::int64_t step, double seconds) {
  if (options.steps > 0) return static_cast<double>(step) / static_cast<double>(options.steps);
  return seconds / options.max_seconds;
}

/// The outcome of the optimizer's step, for the report and for the steps that follow.
void take_note(const StepReport& report, StepInfo& info, LoopState& state) {
  info.grad_norm = report.grad_norm;
  info.skipped = !report.finite;
  info.not_finite = report.not_finite;
  state.skipped_in_a_row = info.skipped ? state.skipped_in_a_row + 1 : 0;
  state.skipped += info.skipped ? 1 : 0;
  info.spike = !info.skipped && std::isfinite(info.loss) && state.loss.update(info.loss);
}

Status diverged(const StepInfo& info, const TrainingData& data) {
  return base::corrupt(
      {.where = fmt::format("step {}, {}", info.step, data.locate_row(info.first_row)),
       .what = fmt::format("the gradients of {} steps in a row are not finite", kMaxSkippedInARow),
       .seen = fmt::format("loss {}, gradient norm {}, weight {}", info.loss, info.grad_norm,
                           info.not_finite),
       .next = "use a lower --lr, a longer --warmup or --dtype f32"});
}

}  // namespace

std::string TrainingData::locate_row(std::int64_t row) const {
  return set.locate(data::Split::kTrain, batches.row_begin(row));
}

Result<Ending> pretrain(base::Context& ctx, base::Env& env, model::Model& model,
                        Optimizer& optimizer, const TrainingData& data,
                        const PretrainOptions& options, LoopState& state,
                        const std::atomic<bool>& stop,
                        const std::function<Status(const StepInfo&)>& on_step) {
  const data::Batches& batches = data.batches;
  BELAY_CHECK(options.steps > 0 || options.max_seconds > 0, "a run has an end");
  BELAY_CHECK(options.micro_tokens > 0 && options.micro_tokens % batches.context() == 0 &&
                  options.batch_tokens % options.micro_tokens == 0,
              "batches are whole micro-batches of whole rows");
  Step step(ctx, model,
            {.n_tokens = options.micro_tokens,
             .longest = batches.context(),
             .checkpoint = options.checkpoint,
             .z_loss = options.z_loss});
  Rows rows;
  const double start = env.steady_seconds() - state.seconds;
  while (true) {
    if (options.steps > 0 && state.step >= options.steps) return Ending::kDone;
    if (options.max_seconds > 0 && state.seconds >= options.max_seconds) {
      return options.steps > 0 ? Ending::kOutOfTime : Ending::kDone;
    }
    if (stop.load()) return Ending::kStopped;
    StepInfo info;
    info.lr = learning_rate(options.schedule, state.step,
                            progress_of(options, state.step, state.seconds));
    info.first_row = state.step * (options.batch_tokens / batches.context());
    gradients(step, batches, options, rows, info);
    take_note(optimizer.step(ctx, model, info.lr), info, state);
    info.step = ++state.step;
    info.tokens = state.tokens += options.batch_tokens;
    info.seconds = state.seconds = env.steady_seconds() - start;
    info.progress = std::min(1.0, progress_of(options, state.step, state.seconds));
    BELAY_RETURN_IF_ERROR(on_step(info));
    if (state.skipped_in_a_row == kMaxSkippedInARow) return diverged(info, data);
  }
}

}  // namespace belay::train
