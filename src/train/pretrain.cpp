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
constexpr int kMaxSkippedInARow = 3;

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

Status diverged(const StepInfo& info) {
  return base::corrupt(
      {.where = fmt::format("step {}", info.step),
       .what = fmt::format("the gradients of {} steps in a row are not finite", kMaxSkippedInARow),
       .seen = fmt::format("loss {}, gradient norm {}", info.loss, info.grad_norm),
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

Result<PretrainResult> pretrain(base::Context& ctx, base::Env& env, model::Model& model,
                                const data::ByteBatches& batches, const PretrainOptions& options,
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
  Optimizer optimizer(model, options.optimizer);
  const std::int64_t micro_rows = options.micro_tokens / batches.context();
  std::vector<std::int32_t> rows(static_cast<std::size_t>(micro_rows * (batches.context() + 1)));

  PretrainResult result;
  int skipped_in_a_row = 0;
  const double start = env.steady_seconds();
  while (options.steps == 0 || result.steps < options.steps) {
    const double progress = progress_of(options, result.steps, result.seconds);
    StepInfo info;
    info.lr = learning_rate(options.schedule, result.steps, progress);
    info.loss = gradients(step, batches, options, result.steps, rows);
    const StepReport report = optimizer.step(ctx, model, info.lr);
    info.grad_norm = report.grad_norm;
    info.skipped = !report.finite;
    skipped_in_a_row = info.skipped ? skipped_in_a_row + 1 : 0;
    result.skipped += info.skipped ? 1 : 0;
    info.step = ++result.steps;
    info.tokens = result.tokens += options.batch_tokens;
    info.seconds = result.seconds = env.steady_seconds() - start;
    info.progress = std::min(1.0, progress_of(options, result.steps, result.seconds));
    BELAY_RETURN_IF_ERROR(on_step(info));
    if (skipped_in_a_row == kMaxSkippedInARow) return diverged(info);
    result.interrupted = stop.load();
    if (result.interrupted) break;
    if (options.max_seconds > 0 && result.seconds >= options.max_seconds) break;
  }
  return result;
}

}  // namespace belay::train
