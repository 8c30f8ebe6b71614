#include "cli/pretrain_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/cpu.h"
#include "base/units.h"
#include "base/version.h"
#include "cli/pretrain_data.h"
#include "data/bigram.h"
#include "train/dial.h"

namespace belay::cli {
namespace {

using nlohmann::ordered_json;

/// `xz -9e` of the embedded texts together, less that of the training text: corpus/README.md.
constexpr double kXzOfEmbedded = 2.1220;

constexpr double kToldEpochs = 1.05;  // passes over the data beyond which a plan says so

/// Bytes of each split that the bigram sees.
constexpr std::int64_t kMaxCounted = std::int64_t{256} << 20;

/// The bytes of a split's tokens, one after the other: see(piece).
template <class See>
void each_piece(const data::Dataset& set, data::Split split, See see) {
  constexpr std::int64_t kBlock = 1 << 16;
  const data::TokenStream& stream = set.split(split);
  std::vector<std::int32_t> ids;
  std::int64_t n_bytes = 0;
  for (std::int64_t at = 0; at < stream.n_tokens() && n_bytes < kMaxCounted; at += kBlock) {
    ids.resize(static_cast<std::size_t>(std::min(kBlock, stream.n_tokens() - at)));
    stream.read(at, ids);
    for (const std::int32_t id : ids) {
      if (id == stream.end_of_text()) continue;
      const std::string_view piece = set.tokenizer().token_bytes(id);
      n_bytes += static_cast<std::int64_t>(piece.size());
      see(piece);
    }
  }
}

double bytes_per_token(const data::Dataset& set) {
  const auto n = static_cast<double>(set.train().n_tokens());
  return n == 0 ? 0 : static_cast<double>(set.train().n_text_bytes()) / n;
}

std::string rates_text(const train::PretrainPlan& plan, const train::PretrainOptions& o,
                       const PretrainArguments& a) {
  std::string text = fmt::format("adamw at {:.3g}", o.schedule.lr);
  const double muon_lr = o.schedule.lr * o.optimizer.muon_lr_ratio;
  if (o.optimizer.muon) text = fmt::format("muon at {:.3g}, {}", muon_lr, text);
  const bool asked = a.lr > 0 && (a.muon_lr > 0 || !o.optimizer.muon);
  if (!asked && train::dial(plan.n_params, a.context, o.optimizer.muon).extrapolated) {
    text += " (the dial extrapolates: it was fitted up to " +
            base::count_text(train::kMostSweptParams) + " parameters)";
  }
  return text;
}

std::string end_text(const train::PretrainOptions& o, const data::Dataset& set) {
  std::string steps = fmt::format("{} steps", o.steps);
  const double epochs =
      static_cast<double>(o.steps * o.batch_tokens) / static_cast<double>(set.train().n_tokens());
  if (epochs > kToldEpochs) steps += fmt::format(" (the data {:.1f} times)", epochs);
  const std::string time = base::duration_text(o.max_seconds);
  if (o.steps == 0) return time;
  return o.max_seconds == 0 ? steps : fmt::format("{}, at most {}", steps, time);
}

}  // namespace

std::string plan_text(const train::PretrainPlan& plan, const model::ModelConfig& config,
                      const train::PretrainOptions& o, const PretrainArguments& a,
                      const data::Dataset& set, const Compute& compute) {
  return fmt::format(
      "model    depth {}, {} wide: {} parameters, {} FLOPs a token\n"
      "data     {}: {} tokens to train on, {} to validate, {:.2f} bytes a token\n"
      "run      {}, {} tokens a step in rows of {}, {}, seed {}\n"
      "{}\n"
      "machine  {}, {}",
      config.n_layers, config.hidden_size, base::count_text(static_cast<double>(plan.n_params)),
      base::count_text(plan.flops_per_token), set.name(), set.train().n_tokens(),
      set.valid().n_tokens(), bytes_per_token(set), end_text(o, set), o.batch_tokens, a.context,
      rates_text(plan, o, a), a.seed, train::cost_text(plan), base::cpu_model(), compute.text());
}

BaselineComparison compare(const data::Dataset& set, bool embedded,
                           const train::Validation& validation) {
  BaselineComparison c;
  c.model = validation.bits_per_byte();
  c.n_bytes = set.valid().n_text_bytes();
  data::Bigram bigram;
  each_piece(set, data::Split::kTrain, [&](std::string_view piece) { bigram.count(piece); });
  each_piece(set, data::Split::kValid, [&](std::string_view piece) { bigram.score(piece); });
  c.bigram = bigram.bits_per_byte();
  if (embedded) c.xz = kXzOfEmbedded;
  return c;
}

std::string comparison_text(const BaselineComparison& c) {
  std::string text =
      fmt::format("{:<40}  bits per byte\n", fmt::format("on {} bytes of other text", c.n_bytes));
  const auto row = [&](std::string_view name, double bits) {
    text += fmt::format("  {:<38}  {:>13.4f}\n", name, bits);
  };
  row("this model", c.model);
  if (c.xz) row("xz -9e, knowing the training text", *c.xz);
  row("bigram, counted on the training text", c.bigram);
  return text;
}

ordered_json manifest_of(const std::vector<std::string>& command_line, const ordered_json& options,
                         const train::PretrainPlan& plan, const PretrainArguments& arguments,
                         const data::Dataset& set, const Compute& compute, double started) {
  return {{"kind", "pretrain"},
          {"status", "running"},
          {"command", command_line},
          {"options", options},
          {"seed", arguments.seed},
          {"version", base::kFullVersion},
          {"started", started},
          {"machine",
           {{"processor", base::cpu_model()},
            {"isa", base::isa_name(compute.ctx.isa)},
            {"dtype", tensor::dtype_name(compute.dtype)},
            {"threads", compute.threads->size()}}},
          {"data", data_json(set)},
          {"model", {{"parameters", plan.n_params}, {"flops_per_token", plan.flops_per_token}}},
          {"plan", train::plan_json(plan)}};
}

}  // namespace belay::cli
