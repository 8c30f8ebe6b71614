// How long a run takes, and the plan as text and JSON: plan.h.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/units.h"
#include "stats/summary.h"
#include "train/plan.h"
#include "train/step.h"

namespace belay::train {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMicroAtATime = 4;  // between two optimizer steps of a calibration
constexpr int kMinRounds = 2, kMaxRounds = 200;
constexpr int kMaxFolderDepth = 4;

std::int64_t bytes_below(base::Env& env, const std::string& folder, int depth) {
  const auto names = env.list_dir(folder);
  if (!names.ok() || depth == 0) return 0;
  std::int64_t bytes = 0;
  for (const std::string& name : *names) {
    const std::string path = base::join_path(folder, name);
    if (env.is_directory(path)) {
      bytes += bytes_below(env, path, depth - 1);
    } else if (const auto size = env.file_size(path); size.ok()) {
      bytes += static_cast<std::int64_t>(*size);
    }
  }
  return bytes;
}

std::string bytes_text(std::int64_t bytes) {
  return base::bytes_text(static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes)));
}

}  // namespace

double calibrate(base::Context& ctx, base::Env& env, model::Model& model, std::int64_t context,
                 const PretrainOptions& options, const FillBatch& fill, double budget_seconds) {
  Step step(ctx, model,
            {.n_tokens = options.micro_tokens,
             .longest = context,
             .checkpoint = options.checkpoint,
             .z_loss = options.z_loss});
  Optimizer optimizer(model, options.optimizer);
  const std::int64_t n_micro = options.batch_tokens / options.micro_tokens;
  std::vector<double> micro_seconds, optimizer_seconds;
  const double start = env.steady_seconds();
  std::int64_t at_a_time = 1, next = 0;
  for (int round = 0; round < kMaxRounds; ++round) {
    double before = env.steady_seconds();
    if (round > kMinRounds && before - start > budget_seconds) break;
    for (std::int64_t m = 0; m < at_a_time; ++m) {
      fill(step, next++);
      step.run(m > 0);
      const double now = env.steady_seconds();
      if (round > 0) micro_seconds.push_back(now - before);
      before = now;
    }
    optimizer.step(ctx, model, 0.0);
    const double now = env.steady_seconds();
    // The first round touches its memory for the first time.
    if (round > 0) optimizer_seconds.push_back(now - before);
    if (round == 0 && (now - start) * kMicroAtATime < budget_seconds) {
      at_a_time = std::min(n_micro, kMicroAtATime);
    }
  }
  return static_cast<double>(n_micro) * stats::median(micro_seconds) +
         stats::median(optimizer_seconds);
}

void plan_time(const PretrainOptions& options, double step_seconds, PretrainPlan& plan) {
  if (!(step_seconds > 0)) return;
  const auto batch = static_cast<double>(options.batch_tokens);
  plan.tokens_per_second = batch / step_seconds;
  plan.seconds = static_cast<double>(options.steps) * step_seconds;
  if (options.steps == 0) plan.seconds = options.max_seconds;
  if (options.max_seconds > 0) plan.seconds = std::min(plan.seconds, options.max_seconds);
  plan.steps = options.steps > 0 && options.max_seconds == 0
                   ? static_cast<double>(options.steps)
                   : std::max(1.0, std::floor(plan.seconds / step_seconds));
  plan.tokens = plan.steps * batch;
}

std::string cost_text(const PretrainPlan& plan) {
  std::string text =
      fmt::format("memory   {}: {} weights and optimizer, {} activations, {} program and data\n",
                  bytes_text(plan.memory_bytes()), bytes_text(plan.state_bytes),
                  bytes_text(plan.step_bytes), bytes_text(plan.other_bytes()));
  if (plan.tokens_per_second > 0) {
    text += fmt::format("time     {}: {} tokens at {} a second, {} FLOPs\n",
                        base::duration_text(plan.seconds), base::count_text(plan.tokens),
                        base::count_text(plan.tokens_per_second), base::count_text(plan.flops()));
  }
  text += fmt::format("disk     {}", bytes_text(plan.disk_bytes));
  if (plan.price_per_hour > 0) {
    text += fmt::format("\nmoney    {:.2f} at {:.2f} an hour", plan.price(), plan.price_per_hour);
  }
  return text;
}

ordered_json plan_json(const PretrainPlan& plan) {
  ordered_json json = {
      {"parameters", plan.n_params},       {"flops_per_token", plan.flops_per_token},
      {"state_bytes", plan.state_bytes},   {"step_bytes", plan.step_bytes},
      {"other_bytes", plan.other_bytes()}, {"memory_bytes", plan.memory_bytes()},
      {"disk_bytes", plan.disk_bytes}};
  if (plan.tokens_per_second > 0) {
    json["tokens_per_second"] = plan.tokens_per_second;
    json["steps"] = plan.steps;
    json["tokens"] = plan.tokens;
    json["seconds"] = plan.seconds;
    json["flops"] = plan.flops();
  }
  if (plan.price_per_hour > 0) {
    json["price_per_hour"] = plan.price_per_hour;
    json["price"] = plan.price();
  }
  return json;
}

ordered_json measured_json(base::Env& env, const std::string& run_folder, const PretrainPlan& plan,
                           double tokens, double seconds) {
  ordered_json json = {{"memory_bytes", env.peak_rss_bytes()},
                       {"disk_bytes", folder_bytes(env, run_folder)},
                       {"tokens", tokens},
                       {"seconds", seconds},
                       {"flops", plan.flops_per_token * tokens}};
  if (seconds > 0) json["tokens_per_second"] = tokens / seconds;
  if (plan.price_per_hour > 0) json["price"] = plan.price_per_hour * seconds / 3600;
  return json;
}

std::int64_t folder_bytes(base::Env& env, const std::string& folder) {
  return bytes_below(env, folder, kMaxFolderDepth);
}

}  // namespace belay::train
