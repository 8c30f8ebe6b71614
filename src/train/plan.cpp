#include "train/plan.h"

#include <fmt/core.h>

#include "base/units.h"
#include "model/score.h"
#include "train/checkpoint.h"
#include "train/dial.h"
#include "train/step.h"

namespace belay::train {
namespace {

using base::Result;
using base::Status;

std::int64_t state_bytes(const model::ModelConfig& config, tensor::DType compute,
                         const OptimizerOptions& optimizer) {
  return model::model_bytes(config, compute, true).total() +
         Optimizer::bytes_needed(config, optimizer, compute);
}

std::int64_t step_bytes(base::Context& ctx, const model::Model& model, std::int64_t context,
                        const PretrainOptions& options) {
  return Step::arena_bytes(
      ctx, model,
      {.n_tokens = options.micro_tokens, .longest = context, .checkpoint = options.checkpoint});
}

/// Activations of a validation: windows packed as model::score packs them.
std::int64_t validation_bytes(base::Context& ctx, const model::Model& model, std::int64_t context) {
  const model::ScoreOptions options;
  const auto n_rows = static_cast<std::size_t>((options.batch_tokens + context - 1) / context);
  const std::vector<std::int32_t> row(static_cast<std::size_t>(context));
  return model::score_bytes(ctx, model, model::Documents(n_rows, row), options);
}

/// The model as f32 and the last two checkpoints.
std::int64_t disk_bytes(const model::ModelConfig& config, const OptimizerOptions& optimizer) {
  return 4 * config.n_params() + 2 * checkpoint_bytes(config, optimizer);
}

bool fits(base::Env& env, std::int64_t bytes) {
  const std::uint64_t have = env.available_memory_bytes();
  return have == 0 || static_cast<std::uint64_t>(bytes) <= have;
}

Status refusal(base::Env& env, std::string_view where, std::int64_t need, std::string next) {
  return base::resource_exhausted(
      {.where = std::string(where),
       .what = "do not fit in memory",
       .seen = base::bytes_text(static_cast<std::uint64_t>(need)),
       .allowed = base::bytes_text(env.available_memory_bytes()) + " available",
       .next = std::move(next)});
}

}  // namespace

Result<PretrainPlan> plan_state(base::Env& env, const model::ModelConfig& config,
                                tensor::DType compute, std::int64_t context,
                                const PretrainOptions& options) {
  PretrainPlan plan;
  plan.n_params = config.n_params();
  plan.flops_per_token = config.train_flops_per_token(context);
  plan.state_bytes = state_bytes(config, compute, options.optimizer);
  plan.process_bytes = static_cast<std::int64_t>(env.rss_bytes());
  plan.disk_bytes = disk_bytes(config, options.optimizer);
  if (fits(env, plan.state_bytes)) return plan;
  for (std::int64_t depth = config.n_layers - 1; depth > 0; --depth) {
    const model::ModelConfig smaller = config_of_depth(depth, config.vocab_size, context);
    if (!fits(env, state_bytes(smaller, compute, options.optimizer))) continue;
    return refusal(env, "weights and optimizer", plan.state_bytes,
                   fmt::format("--depth {} fits", depth));
  }
  return refusal(env, "weights and optimizer", plan.state_bytes, "free memory");
}

Status plan_step(base::Context& ctx, base::Env& env, const model::Model& model,
                 std::int64_t context, const PretrainOptions& options, PretrainPlan& plan) {
  plan.step_bytes = step_bytes(ctx, model, context, options);
  plan.validation_bytes = validation_bytes(ctx, model, context);
  if (fits(env, plan.step_bytes)) return {};
  PretrainOptions smaller = options;
  for (std::int64_t rows = options.micro_tokens / context - 1; rows > 0; --rows) {
    smaller.micro_tokens = rows * context;
    if (options.batch_tokens % smaller.micro_tokens != 0) continue;
    if (!fits(env, step_bytes(ctx, model, context, smaller))) continue;
    return refusal(env, "the activations of a step", plan.step_bytes,
                   fmt::format("--micro-tokens {} fits", smaller.micro_tokens));
  }
  return refusal(env, "the activations of a step", plan.step_bytes,
                 "use a smaller --context or --depth");
}

}  // namespace belay::train
