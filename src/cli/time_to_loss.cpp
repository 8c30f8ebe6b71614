// belay bench time-to-loss: from the start of the process to a validation loss, seed after seed.
#include "cli/time_to_loss.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "base/units.h"
#include "base/version.h"
#include "bench/time_to_loss.h"
#include "cli/compute.h"
#include "stats/summary.h"

namespace belay::cli {
namespace {

using bench::LossRecipe;
using bench::TimeToLossResult;
using nlohmann::ordered_json;

constexpr int kMostSeeds = 1000;

struct TimeToLossArguments {
  bench::TimeToLossOptions run;
  int seeds = 1;
  bool json = false;
  ComputeOptions compute;
};

/// A seed and what came of it.
struct Outcome {
  std::uint64_t seed = 0;
  TimeToLossResult result;
};

ordered_json recipe_json(const LossRecipe& r, std::string_view dtype) {
  return {{"vocab_size", r.vocab_size},
          {"layers", r.layers},
          {"width", r.width},
          {"heads", r.heads},
          {"ffn", r.ffn},
          {"context", r.context},
          {"batch_tokens", r.batch_tokens},
          {"steps", r.steps},
          {"optimizer", "muon"},
          {"lr", r.lr},
          {"muon_lr_ratio", r.muon_lr_ratio},
          {"warmup", r.warmup},
          {"schedule", "linear"},
          {"lr_floor", r.lr_floor},
          {"beta1", r.beta1},
          {"muon_momentum", r.muon_momentum},
          {"init_std", r.init_std},
          {"dtype", dtype}};
}

ordered_json outcome_json(const Outcome& o) {
  const TimeToLossResult& r = o.result;
  return {{"seed", o.seed},
          {"reached", r.reached},
          {"seconds", r.seconds},
          {"cpu_seconds", r.cpu_seconds},
          {"nats_per_character", r.nats_per_character},
          {"steps", r.steps},
          {"tokens", r.tokens},
          {"steps_per_second", static_cast<double>(r.steps) / r.training},
          {"validations", r.validations},
          {"seconds_of",
           {{"reading", r.reading},
            {"tokenizing", r.tokenizing},
            {"building", r.building},
            {"training", r.training},
            {"validating", r.validating}}}};
}

/// The median of the seeds' times and the highest of their losses.
std::pair<double, double> summary(const std::vector<Outcome>& outcomes) {
  std::vector<double> seconds;
  double nats = 0;
  for (const Outcome& o : outcomes) {
    seconds.push_back(o.result.seconds);
    nats = std::max(nats, o.result.nats_per_character);
  }
  return {stats::median(seconds), nats};
}

ordered_json document(const TimeToLossArguments& o, const Compute& compute,
                      const std::vector<Outcome>& outcomes) {
  const auto [seconds, nats] = summary(outcomes);
  const TimeToLossResult& first = outcomes.front().result;
  ordered_json runs = ordered_json::array();
  for (const Outcome& outcome : outcomes) runs.push_back(outcome_json(outcome));
  return {{"reached", std::all_of(outcomes.begin(), outcomes.end(),
                                  [](const Outcome& x) { return x.result.reached; })},
          {"seconds", seconds},
          {"nats_per_character", nats},
          {"target", o.run.target},
          {"seed", o.run.seed},
          {"seeds", o.seeds},
          {"corpus", o.run.corpus},
          {"validation_characters", first.n_characters},
          {"train_tokens", first.n_train_tokens},
          {"validation_tokens", first.n_valid_tokens},
          {"parameters", first.n_params},
          {"steps", first.steps},
          {"recipe", recipe_json(o.run.recipe, tensor::dtype_name(compute.dtype))},
          {"machine", base::cpu_model()},
          {"isa", base::isa_name(compute.ctx.isa)},
          {"threads", compute.threads->size()},
          {"version", base::kFullVersion},
          {"runs", std::move(runs)}};
}

std::string text(const TimeToLossArguments& o, const Compute& compute,
                 const std::vector<Outcome>& outcomes) {
  const LossRecipe& r = o.run.recipe;
  const TimeToLossResult& first = outcomes.front().result;
  std::string text = fmt::format(
      "target    {} nats a character over the last {} characters of {}\n"
      "machine   {}, {}, belay {}\n"
      "model     {} parameters: {} layer{}, {} wide; vocabulary {}, {} training tokens\n"
      "\n{:>6}{:>10}{:>10}{:>12}{:>8}{:>10}{:>12}\n",
      o.run.target, first.n_characters, o.run.corpus, base::cpu_model(), compute.text(),
      base::kFullVersion, base::count_text(static_cast<double>(first.n_params)), r.layers,
      r.layers == 1 ? "" : "s", r.width, r.vocab_size, first.n_train_tokens, "seed", "seconds",
      "cpu s", "nats/char", "steps", "steps/s", "validations");
  for (const Outcome& outcome : outcomes) {
    const TimeToLossResult& x = outcome.result;
    text += fmt::format("{:>6}{:>10.3f}{:>10.3f}{:>12.4f}{:>8}{:>10.1f}{:>12}{}\n", outcome.seed,
                        x.seconds, x.cpu_seconds, x.nats_per_character, x.steps,
                        static_cast<double>(x.steps) / x.training, x.validations,
                        x.reached ? "" : "  not reached");
  }
  if (outcomes.size() > 1) {
    text += fmt::format("median{:>10.3f}\n", summary(outcomes).first);
  }
  return text;
}

base::Status check(Verbs& verbs, const TimeToLossArguments& o) {
  BELAY_RETURN_IF_ERROR(check_range("--seeds", o.seeds, 1, kMostSeeds));
  for (const auto& [name, value] :
       {std::pair{"--target", o.run.target}, std::pair{"--max-seconds", o.run.max_seconds}}) {
    if (value > 0) continue;
    return base::invalid_argument({.where = name,
                                   .what = "is out of range",
                                   .seen = fmt::format("{}", value),
                                   .allowed = "above 0"});
  }
  if (verbs.env.exists(o.run.corpus)) return {};
  return base::not_found(
      {.where = "--corpus " + base::printable(o.run.corpus),
       .what = "does not exist",
       .next = "name a text: Shakespeare's of 1,115,394 bytes is data/tinyshakespeare/input.txt of "
               "github.com/karpathy/char-rnn"});
}

base::Result<ExitCode> run(Verbs& verbs, TimeToLossArguments o) {
  BELAY_RETURN_IF_ERROR(check(verbs, o));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(o.compute));
  o.run.dtype = compute.dtype;
  // Every seed takes what the start of the process took.
  const bench::Started started{verbs.env.steady_seconds() - verbs.started, verbs.env.cpu_seconds()};
  std::vector<Outcome> outcomes;
  bool reached = true;
  for (int i = 0; i < o.seeds; ++i) {
    bench::TimeToLossOptions options = o.run;
    options.seed += static_cast<std::uint64_t>(i);
    BELAY_ASSIGN_OR_RETURN(const TimeToLossResult result,
                           bench::time_to_loss(compute.ctx, verbs.env, options, started));
    reached = reached && result.reached;
    outcomes.push_back({options.seed, result});
  }
  if (o.json) {
    print_json(document(o, compute, outcomes));
  } else {
    std::fputs(text(o, compute, outcomes).c_str(), stdout);
  }
  if (reached) return ExitCode::kDone;
  verbs.log.error("the target of {} nats a character was not reached within --max-seconds {}",
                  o.run.target, o.run.max_seconds);
  return ExitCode::kFailed;
}

void add_recipe(Verb verb, TimeToLossArguments& o) {
  LossRecipe& r = o.run.recipe;
  const char* const group = "Recipe";
  verb.option("--vocab-size", r.vocab_size, "Of the tokenizer; 256: bytes, without one")
      .group(group);
  verb.option("--layers", r.layers, "Layers").group(group);
  verb.option("--width", r.width, "Width of the residual stream").group(group);
  verb.option("--heads", r.heads, "Attention heads").group(group);
  verb.option("--ffn", r.ffn, "Width of the feed-forward part").group(group);
  verb.option("--context", r.context, "Tokens of a row").group(group);
  verb.option("--batch-tokens", r.batch_tokens, "Tokens of a step").group(group);
  verb.option("--steps", r.steps, "Steps before the first validation").group(group);
  verb.option("--warmup", r.warmup, "Steps in which the learning rate rises").group(group);
  verb.option("--lr", r.lr, "Peak learning rate of AdamW: embedding, head, norms").group(group);
  verb.option("--muon-lr-ratio", r.muon_lr_ratio, "Muon's learning rate over --lr").group(group);
  verb.option("--lr-floor", r.lr_floor, "Learning rate at the end, of the peak").group(group);
  verb.option("--beta1", r.beta1, "AdamW's first momentum").group(group);
  verb.option("--muon-momentum", r.muon_momentum, "Muon's momentum").group(group);
  verb.option("--init-std", r.init_std, "Standard deviation of new weights").group(group);
}

}  // namespace

void add_time_to_loss(Verbs& verbs, Verb bench) {
  auto options = std::make_shared<TimeToLossArguments>();
  TimeToLossArguments& o = *options;
  Verb verb = verbs.add(bench,
                        {.name = "time-to-loss",
                         .about = "Seconds from the start to a validation loss on a text",
                         .examples = {"bench time-to-loss --corpus input.txt --json",
                                      "bench time-to-loss --corpus input.txt --seeds 5"}},
                        [&verbs, options] { return run(verbs, *options); });
  verb.option("--corpus", o.run.corpus, "Text; its last tenth is for validation")
      .required()
      .type("FILE");
  verb.option("--target", o.run.target, "Nats a character to reach, over the whole last tenth");
  verb.option("--max-seconds", o.run.max_seconds, "Give up after so long");
  verb.option("--seed", o.run.seed, "Of the first run: weights and order of the data");
  verb.option("--seeds", o.seeds, "Runs, each with the next seed");
  verb.flag("--json", o.json, "Print one JSON document");
  add_compute_options(verb, o.compute);
  add_recipe(verb, o);
}

}  // namespace belay::cli
