#include "cli/trainer.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/pretrain_plan.h"
#include "cli/pretrain_run.h"
#include "store/run_record.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using climb::RunEnding;
using climb::RunOutcome;
using nlohmann::ordered_json;
using store::number_at;

/// Options by name as `belay pretrain` would take them.
struct Parsed {
  PretrainArguments arguments;
  ordered_json options;  // for run.json
};

Result<Parsed> parse(const climb::RunOptions& options, const std::string& folder) {
  Parsed parsed;
  Parser parser("", "", "");
  add_options(parser.program(), parsed.arguments);
  std::vector<std::string> args;
  for (const auto& [name, value] : options) args.push_back("--" + name + "=" + value);
  args.push_back("--out=" + folder);
  if (const auto read = parser.parse(std::move(args)); !read.ok()) {
    return base::invalid_argument({.where = folder,
                                   .what = "cannot be trained with these options",
                                   .seen = base::printable(read.status().message()),
                                   .next = "belay pretrain --help lists the options of a run"});
  }
  parsed.options = options_json(parser.program());
  return parsed;
}

/// A run of other options must not be taken for the one that is asked for.
Status check_same(const ordered_json& asked, const nlohmann::json& manifest,
                  const std::string& folder) {
  const auto options = manifest.find("options");
  if (options == manifest.end() || !options->is_object()) return {};
  for (const auto& [name, value] : asked.items()) {
    if (name == "out" || name == "threads" || name == "overwrite" || name == "data") continue;
    if (!options->contains(name) || (*options)[name] == value) continue;
    return base::invalid_argument({.where = folder,
                                   .what = fmt::format("holds a run with another --{}", name),
                                   .seen = base::printable((*options)[name].dump()),
                                   .allowed = base::printable(value.dump()),
                                   .next = "choose another --out, or remove that folder"});
  }
  return {};
}

RunOutcome outcome_of(const nlohmann::json& manifest) {
  RunOutcome o;
  const auto number = [&](std::initializer_list<std::string_view> path) {
    return number_at(manifest, path).value_or(0);
  };
  const std::string status = store::text_at(manifest, {"status"}).value_or("");
  const bool diverged = manifest.value("diverged", nlohmann::json()) == true;
  if (status == "done") o.ending = RunEnding::kDone;
  if (status == "failed" && diverged) o.ending = RunEnding::kFailed;
  o.error = store::text_at(manifest, {"error"}).value_or("");
  o.params = number({"model", "parameters"});
  o.flops_per_token = number({"model", "flops_per_token"});
  o.tokens = number({"tokens"});
  o.own_tokens = o.tokens - number({"forked", "tokens"});
  o.seconds = number({"seconds"}) - number({"forked", "seconds"});
  o.val_loss = number({"val_loss"});
  o.val_bpb = number({"val_bpb"});
  o.prompt = store::text_at(manifest, {"sample", "prompt"}).value_or("");
  o.text = store::text_at(manifest, {"sample", "text"}).value_or("");
  return o;
}

}  // namespace

Result<climb::RunCost> PretrainTrainer::measure(const climb::RunOptions& options) {
  BELAY_ASSIGN_OR_RETURN(const Parsed parsed, parse(options, "measure"));
  const PretrainArguments& a = parsed.arguments;
  BELAY_ASSIGN_OR_RETURN(train::PretrainOptions run, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(const RunData data, open_run_data(verbs_.env, a.data));
  BELAY_ASSIGN_OR_RETURN(const model::ModelConfig config, config_of_run(verbs_.env, a, data.set));
  BELAY_RETURN_IF_ERROR(apply_dial(a, config, data.set, run));
  BELAY_ASSIGN_OR_RETURN(train::PretrainPlan plan,
                         train::plan_state(verbs_.env, config, compute.dtype, a.context, run));
  model::Model model(config, compute.dtype, true, a.context);
  BELAY_RETURN_IF_ERROR(train::plan_step(compute.ctx, verbs_.env, model, a.context, run, plan));
  model.initialize(compute.ctx, a.seed);
  measure_time(verbs_.env, compute, model, a, run, data.set, plan);
  return climb::RunCost{static_cast<double>(plan.n_params), plan.flops_per_token,
                        plan.tokens_per_second, run.batch_tokens};
}

Result<RunOutcome> PretrainTrainer::train(const climb::RunRequest& request) {
  BELAY_ASSIGN_OR_RETURN(Parsed parsed, parse(request.options, request.folder));
  PretrainArguments& a = parsed.arguments;
  bool resume = false;
  if (store::is_run_folder(verbs_.env, request.folder)) {
    BELAY_ASSIGN_OR_RETURN(const nlohmann::json manifest,
                           store::read_manifest(verbs_.env, request.folder));
    BELAY_RETURN_IF_ERROR(check_same(parsed.options, manifest, request.folder));
    const RunOutcome earlier = outcome_of(manifest);
    if (earlier.ending != RunEnding::kStopped) return earlier;
    resume = true;
  }
  interrupted();       // from here on Ctrl-C is a wish
  a.overwrite = true;  // what is there and is no run is what a kill left
  BELAY_ASSIGN_OR_RETURN(const train::PretrainOptions options, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(RunData data, open_run_data(verbs_.env, a.data));
  PretrainSession run(verbs_, a, options, std::move(data), std::move(compute));
  BELAY_RETURN_IF_ERROR(run.begin(parsed.options, resume, false));
  const auto trained = train_and_evaluate(run, verbs_, request.label);
  if (!trained.ok() && trained.status().code() != base::Code::kCorrupt) return trained.status();
  return outcome_of(nlohmann::json(run.manifest()));
}

}  // namespace belay::cli
