#include "cli/pretrain_plan.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "cli/pretrain_report.h"
#include "data/batches.h"
#include "data/mixture.h"
#include "model/hf_folder.h"
#include "ops/matmul.h"
#include "train/dial.h"
#include "train/step.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

constexpr std::int64_t kVocabMultiple = 64;
constexpr std::int64_t kMicroTokens = 16384;  // computed at a time, unless asked otherwise
constexpr double kMostSeconds = 1;            // of a calibration
constexpr double kShareOfRun = 0.02;          // of a run by the clock
constexpr std::int64_t kFewSteps = 100;       // a run of fewer is not worth a second

/// The model that a run goes on from reads what the data are made of.
Status check_from(base::Env& env, const std::string& folder, const model::ModelConfig& config,
                  const PretrainArguments& a, const data::Dataset& set) {
  const auto refuse = [&](std::string what, std::string seen, std::string allowed,
                          std::string next) {
    return base::unsupported({.where = "--from " + folder,
                              .what = std::move(what),
                              .seen = std::move(seen),
                              .allowed = std::move(allowed),
                              .next = std::move(next)});
  };
  if (a.context > config.max_position) {
    return refuse("has fewer positions than --context", std::to_string(config.max_position),
                  fmt::format("at least {}", a.context), "use a smaller --context");
  }
  if (set.vocab_size() > config.vocab_size) {
    return refuse("has a smaller vocabulary than the data", std::to_string(config.vocab_size),
                  fmt::format("at least {}", set.vocab_size()),
                  "prepare the data with the model's tokenizer");
  }
  if (!env.exists(base::join_path(folder, "tokenizer.json"))) return {};
  BELAY_ASSIGN_OR_RETURN(const text::Tokenizer own, text::Tokenizer::load(env, folder));
  if (own.fingerprint() == set.tokenizer().fingerprint()) return {};
  return refuse("has another tokenizer than the data", base::hex64(own.fingerprint()),
                base::hex64(set.tokenizer().fingerprint()),
                "prepare the data with the model's tokenizer");
}

/// The largest part of a batch, in whole rows, that divides it and is not above the limit.
std::int64_t micro_of(std::int64_t batch_tokens, std::int64_t context) {
  const std::int64_t rows = batch_tokens / context;
  for (std::int64_t parts = 1; parts < rows; ++parts) {
    if (rows % parts == 0 && batch_tokens / parts <= kMicroTokens) return batch_tokens / parts;
  }
  return context;
}

/// A validation takes place while a step's activations are held, not only at the end.
bool validates_on_the_way(const PretrainArguments& a, const train::PretrainOptions& options,
                          const data::Dataset& set, const train::PretrainPlan& plan) {
  if (set.valid().n_tokens() < 2) return false;
  const bool by_steps = a.eval_steps > 0 && (options.steps == 0 || a.eval_steps < options.steps);
  return by_steps || (a.eval_seconds > 0 && a.eval_seconds < plan.seconds);
}

/// A checkpoint is saved before the end, while a step's activations are held.
bool saves_on_the_way(const PretrainArguments& a, const train::PretrainOptions& options,
                      const train::PretrainPlan& plan) {
  const bool by_steps =
      a.checkpoint_steps > 0 && (options.steps == 0 || a.checkpoint_steps < options.steps);
  return by_steps || (a.checkpoint_seconds > 0 && a.checkpoint_seconds < plan.seconds);
}

}  // namespace

Result<model::ModelConfig> config_of_run(base::Env& env, const PretrainArguments& a,
                                         const data::Dataset& set) {
  if (a.from.empty()) {
    model::ModelConfig config = train::config_of_depth(
        a.depth, ops::round_up(set.vocab_size(), kVocabMultiple), a.context, a.width);
    if (a.family == "llama") {
      config.family = model::Family::kLlama;
      config.qk_norm = false;
    }
    if (a.rope_theta > 0) config.rope_theta = a.rope_theta;
    config.initializer_range = a.init_std;
    config.bos_id = config.eos_id = set.tokenizer().end_of_text().value_or(-1);
    return config;
  }
  BELAY_ASSIGN_OR_RETURN(model::ModelConfig config, model::load_hf_config(env, a.from));
  BELAY_RETURN_IF_ERROR(check_from(env, a.from, config, a, set));
  return config;
}

Status apply_dial(const PretrainArguments& a, const model::ModelConfig& config,
                  const data::Dataset& set, train::PretrainOptions& o) {
  const train::Dial d = train::dial(config.n_params(), a.context, o.optimizer.muon, a.batch_tokens);
  o.batch_tokens = d.batch_tokens;
  o.micro_tokens = a.micro_tokens > 0 ? a.micro_tokens : micro_of(o.batch_tokens, a.context);
  if (o.batch_tokens % o.micro_tokens != 0) {
    return base::invalid_argument({.where = "--micro-tokens",
                                   .what = "does not divide the tokens of a step",
                                   .seen = std::to_string(o.micro_tokens),
                                   .allowed = fmt::format("a part of {}", o.batch_tokens)});
  }
  if (o.steps == 0 && o.max_seconds == 0) {
    const double most = data::kManyEpochs * static_cast<double>(set.train().n_tokens());
    const double tokens = std::min(d.tokens, most);
    o.steps = std::max<std::int64_t>(1, std::llround(tokens / static_cast<double>(o.batch_tokens)));
  }
  o.schedule.lr = a.lr > 0 ? a.lr : d.adamw_lr;
  o.optimizer.muon_lr_ratio = (a.muon_lr > 0 ? a.muon_lr : d.muon_lr) / o.schedule.lr;
  return data::check_long_enough(set, a.context, o.batch_tokens);
}

void measure_time(base::Env& env, Compute& compute, model::Model& model, const PretrainArguments& a,
                  const train::PretrainOptions& options, const data::Dataset& set,
                  train::PretrainPlan& plan) {
  const data::Batches batches(set.train(), a.context, a.seed, row_order(a));
  const std::int64_t micro_rows = options.micro_tokens / a.context;
  std::vector<std::int32_t> ids, targets;
  std::vector<std::int64_t> lengths;
  const auto fill = [&](train::Step& step, std::int64_t m) {
    batches.fill(m * micro_rows, micro_rows, ids, targets, lengths);
    step.batch().set(ids, targets, lengths);
  };
  double budget = kMostSeconds;
  if (options.steps > 0 && options.steps < kFewSteps) budget = 0;
  if (options.max_seconds > 0) budget = std::min(budget, kShareOfRun * options.max_seconds);
  const double step_seconds =
      train::calibrate(compute.ctx, env, model, a.context, options, fill, budget);
  train::plan_time(options, step_seconds, plan);
  plan.validates_on_the_way = validates_on_the_way(a, options, set, plan);
  plan.saves_on_the_way = saves_on_the_way(a, options, plan);
}

}  // namespace belay::cli
