#include "train/pretrain.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ops/matmul.h"
#include "train/step.h"

namespace belay::train {
namespace {

using base::Result;
using base::Status;

constexpr std::int64_t kHeadDim = 64;
constexpr std::int64_t kMaxSkippedInARow = 3;

/// The gradients of one step, micro-batch after micro-batch; returns the loss.
double gradients(Step& step, const data::ByteBatches& batches, const PretrainOptions& options,
                 std::int64_t index, std::vector<std::int32_t>& rows) {
  const std::int64_t n_micro = options.batch_tokens / options.micro_tokens;
  const std::int64_t micro_rows = options.micro_tokens / batches.context();
  double loss = 0;
  for (std::int64_t m = 0; m < n_micro; ++m) {
    batches.rows(index, m * micro_rows, rows);
    step.batch().set_rows(rows, batches.context(), 1.0 / static_cast<double>(n_micro));
    loss += static_cast<double>(step.run(m > 0));
  }
  return loss;
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

Status diverged(const StepInfo& info) {
  return base::corrupt(
      {.where = fmt::format("step {}", info.step),
       .what = fmt::format("the gradients of {} steps in a row are not finite", kMaxSkippedInARow),
       .seen = fmt::format("loss {}, gradient norm {}, weight {}", info.loss, info.grad_norm,
                           info.not_finite),
       .next = "use a lower --lr, a longer --warmup or --dtype f32"});
}

}  // namespace

model::ModelConfig config_of_depth(std::int64_t depth, std::int64_t vocab_size,
                                   std::int64_t context) {
  model::ModelConfig config;
  config.family = model::Family::kQwen3;
  config.vocab_size = vocab_size;
  config.n_layers = depth;
  config.hidden_size = kHeadDim * depth;
  config.ffn_size = ops::round_up((8 * config.hidden_size + 2) / 3, 64);
  config.n_heads = config.n_kv_heads = depth;
  config.head_dim = kHeadDim;
  config.max_position = context;
  return config;
}

Result<Ending> pretrain(base::Context& ctx, base::Env& env, model::Model& model,
                        Optimizer& optimizer, const data::ByteBatches& batches,
                        const PretrainOptions& options, LoopState& state,
                        const std::atomic<bool>& stop,
                        const std::function<Status(const StepInfo&)>& on_step) {
  BELAY_CHECK(options.steps > 0 || options.max_seconds > 0, "a run has an end");
  BELAY_CHECK(options.micro_tokens > 0 && options.micro_tokens % batches.context() == 0 &&
                  options.batch_tokens % options.micro_tokens == 0,
              "batches are whole micro-batches of whole rows");
  Step step(ctx, model,
            {.n_tokens = options.micro_tokens,
             .longest = batches.context(),
             .checkpoint = options.checkpoint});
  const std::int64_t micro_rows = options.micro_tokens / batches.context();
  std::vector<std::int32_t> rows(static_cast<std::size_t>(micro_rows * (batches.context() + 1)));

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
    info.loss = gradients(step, batches, options, state.step, rows);
    take_note(optimizer.step(ctx, model, info.lr), info, state);
    info.step = ++state.step;
    info.tokens = state.tokens += options.batch_tokens;
    info.seconds = state.seconds = env.steady_seconds() - start;
    info.progress = std::min(1.0, progress_of(options, state.step, state.seconds));
    BELAY_RETURN_IF_ERROR(on_step(info));
    if (state.skipped_in_a_row == kMaxSkippedInARow) return diverged(info);
  }
}

}  // namespace belay::train
