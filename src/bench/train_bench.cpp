#include "bench/train_bench.h"

#include <algorithm>
#include <charconv>

#include "base/rng.h"
#include "base/units.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace belay::bench {
namespace {

constexpr int kWarmup = 2, kProfiled = 5;
constexpr double kBetweenSamples = 0.1;  // seconds of steps: what follows a sample begins with
                                         // other memory in the caches than a step leaves there

/// VmRSS of this process; 0: unknown.
std::int64_t resident_bytes(base::Env& env) {
  const auto status = env.read_file("/proc/self/status", 1 << 16);
  const std::string text = status.ok() ? *status : "";
  const std::size_t at = text.find("VmRSS:");
  if (at == std::string::npos) return 0;
  const std::size_t digits = text.find_first_not_of(" \t", at + 6);
  std::int64_t kib = 0;
  if (digits != std::string::npos) {
    std::from_chars(text.data() + digits, text.data() + text.size(), kib);
  }
  return kib * 1024;
}

/// Model, recorded step and optimizer of a shape.
class Trainee {
 public:
  Trainee(base::Context& ctx, const TrainShape& shape, const TrainBenchOptions& o)
      : model(shape.config, o.dtype, true, shape.context),
        step(ctx, model,
             {.n_tokens = shape.n_tokens(), .longest = shape.context, .checkpoint = o.checkpoint}),
        ctx_(ctx),
        shape_(shape),
        optimizer_(model, {.muon = o.muon}) {
    model.initialize(ctx, 1);
  }

  struct Times {
    double total, optimizer;
  };
  /// One step on random tokens.
  Times run(double& loss) {
    const base::Rng rng(1, base::Purpose::kBench, n_steps_++);
    std::vector<std::int32_t> rows(
        static_cast<std::size_t>(shape_.sequences * (shape_.context + 1)));
    const auto vocab = static_cast<std::uint64_t>(shape_.config.vocab_size);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i] = static_cast<std::int32_t>(rng.below(i, vocab));
    }
    step.batch().set_rows(rows, shape_.context);
    const double start = seconds_now();
    loss = static_cast<double>(step.run());
    const double middle = seconds_now();
    optimizer_.step(ctx_, model, 3e-4);
    const double end = seconds_now();
    return {end - start, end - middle};
  }

  model::Model model;
  train::Step step;

 private:
  base::Context& ctx_;
  const TrainShape& shape_;
  train::Optimizer optimizer_;
  std::uint64_t n_steps_ = 0;
};

/// Of weights, gradients, packed copies and optimizer.
std::int64_t state_bytes(const TrainShape& shape, const TrainBenchOptions& o) {
  return model::model_bytes(shape.config, o.dtype, true).total() +
         train::Optimizer::bytes_needed(shape.config, {.muon = o.muon}, o.dtype);
}

/// Of activations. A model's memory is reserved for it, but none of it touched.
std::int64_t arena_bytes(base::Context& ctx, const TrainShape& shape, const TrainBenchOptions& o) {
  const model::Model model(shape.config, o.dtype, true, shape.context);
  return train::Step::arena_bytes(
      ctx, model,
      {.n_tokens = shape.n_tokens(), .longest = shape.context, .checkpoint = o.checkpoint});
}

base::Status check_fits(base::Env& env, const TrainShape& shape, std::int64_t bytes) {
  const std::uint64_t available = env.available_memory_bytes();
  const auto needed = static_cast<std::uint64_t>(bytes);
  if (available == 0 || needed <= available) return {};
  return base::resource_exhausted({.where = "shape " + shape.name,
                                   .what = "does not fit in memory",
                                   .seen = base::bytes_text(needed),
                                   .allowed = base::bytes_text(available) + " available",
                                   .next = "try --checkpoint or a smaller --shape"});
}

void time_steps(Trainee& trainee, const TrainShape& shape, int steps, ProductRate& yardstick,
                TrainResult& r) {
  std::vector<double> total, optimizer, mfu;
  const double flops = r.flops_per_token * static_cast<double>(shape.n_tokens());
  for (int i = 0; i < kWarmup; ++i) trainee.run(r.final_loss);
  auto before = yardstick.sample();
  while (static_cast<int>(total.size()) < steps) {
    std::vector<double> run;
    const double start = seconds_now();
    do {
      const Trainee::Times t = trainee.run(r.final_loss);
      run.push_back(t.total);
      optimizer.push_back(t.optimizer);
    } while (static_cast<int>(total.size() + run.size()) < steps &&
             seconds_now() - start < kBetweenSamples);
    total.insert(total.end(), run.begin(), run.end());
    const auto after = yardstick.sample();
    if (before && after) mfu.push_back(flops / stats::median(run) / (0.5 * (*before + *after)));
    before = after;
  }
  if (!mfu.empty()) r.mfu = stats::median(mfu);
  r.step_seconds = stats::median(total);
  r.best_step_seconds = stats::quantile(total, 0);
  r.step_interval = stats::median_interval(total, 0.95, base::Rng(1, base::Purpose::kBootstrap));
  r.optimizer_seconds = stats::median(optimizer);
  r.tokens_per_second = static_cast<double>(shape.n_tokens()) / r.step_seconds;
}

/// Rows per step, from steps that do not count otherwise.
void profile_steps(Trainee& trainee, int steps, TrainResult& r) {
  trainee.step.exec().profile(true);
  tensor::ProfileRow optimizer{.name = "optimizer"};
  double loss = 0;
  for (int i = 0; i < steps; ++i) {
    const Trainee::Times t = trainee.run(loss);
    r.profiled_seconds += t.total / steps;
    optimizer.seconds += t.optimizer;
    ++optimizer.calls;
  }
  trainee.step.exec().profile(false);
  r.rows = trainee.step.exec().profile_rows();
  r.rows.push_back(optimizer);
  for (tensor::ProfileRow& row : r.rows) {
    row.seconds /= steps;
    row.flops /= steps;
    row.bytes /= steps;
    row.calls /= steps;
  }
  std::stable_sort(r.rows.begin(), r.rows.end(),
                   [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
}

}  // namespace

base::Result<TrainResult> bench_train(base::Context& ctx, base::Env& env, const TrainShape& shape,
                                      const TrainBenchOptions& o) {
  TrainResult r;
  r.n_params = shape.config.n_params();
  r.flops_per_token = shape.config.train_flops_per_token(shape.context);
  r.planned_bytes = state_bytes(shape, o);
  BELAY_RETURN_IF_ERROR(check_fits(env, shape, r.planned_bytes));
  r.planned_bytes += arena_bytes(ctx, shape, o);
  BELAY_RETURN_IF_ERROR(check_fits(env, shape, r.planned_bytes));
  ProductRate yardstick(o.dtype, ctx.threads.size(), o.roofline, o.repeats);
  yardstick.sample();
  const std::int64_t before = resident_bytes(env);
  {
    Trainee trainee(ctx, shape, o);
    time_steps(trainee, shape, o.steps, yardstick, r);
    r.resident_bytes = std::max<std::int64_t>(0, resident_bytes(env) - before);
    r.peak_rss_bytes = static_cast<std::int64_t>(env.peak_rss_bytes());
    profile_steps(trainee, std::min(o.steps, kProfiled), r);
    r.products = products_of(trainee.step.exec().tape(), shape.config.vocab_size);
  }
  for (StepProduct& p : r.products) p.seconds = time_product(ctx, p, o.dtype, o.repeats);
  yardstick.sample();
  r.onednn_version = yardstick.version();
  r.product_flops = yardstick.median();
  r.product_flops_best = yardstick.best();
  if (r.product_flops_best) r.products_bound = products_rate(r.products) / *r.product_flops_best;
  return r;
}

}  // namespace belay::bench
