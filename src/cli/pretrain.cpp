// belay pretrain: a model from token shards, a text file or the embedded novels, or from another
// model on.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/interrupt.h"
#include "cli/pretrain_resume.h"
#include "cli/pretrain_run.h"
#include "cli/verbs.h"

namespace belay::cli {
namespace {

using base::Result;

void print_sample(const PretrainResult& result) {
  const std::string& prompt = result.excerpt.prompt;
  const std::string text = prompt + result.excerpt.continuation, both = prompt + result.text;
  std::fputs(two_columns({"the text goes on", text}, {"the model goes on", both}, 44).c_str(),
             stdout);
}

std::string resume_command(const PretrainSession& run) {
  return "belay pretrain --resume " + run.arguments().out;
}

Result<ExitCode> run_session(PretrainSession& run, Verbs& verbs, bool json) {
  BELAY_ASSIGN_OR_RETURN(const PretrainResult result, train_and_evaluate(run, verbs));
  if (json) {
    print_json(run.manifest());
    return ExitCode::kDone;
  }
  if (result.comparison) {
    fmt::print("\n{}\n", comparison_text(*result.comparison));
    print_sample(result);
  }
  fmt::print("\nsaved in {}: {} steps, {} tokens\nreport   {}\n", run.model_folder(),
             run.state().step, base::count_text(static_cast<double>(run.state().tokens)),
             base::join_path(run.arguments().out, "report.html"));
  if (result.ending != train::Ending::kDone) {
    fmt::print("stopped before the end; go on with\n  {}\n", resume_command(run));
  }
  return ExitCode::kDone;
}

Result<ExitCode> run_pretrain(Verbs& verbs, Verb verb, const PretrainArguments& typed) {
  PretrainArguments a = typed;
  const bool resume = !typed.resume.empty();
  if (resume) {
    BELAY_ASSIGN_OR_RETURN(const base::JsonReader manifest,
                           train::read_run_manifest(verbs.env, typed.resume));
    BELAY_ASSIGN_OR_RETURN(a, resumed_arguments(verb, typed.resume, manifest));
    if (const auto status = manifest.optional_string("status", "");
        status.ok() && *status == "done") {
      verbs.log.info("{} is done: there is nothing to resume", typed.resume);
      if (typed.json) print_json(manifest.node());
      return ExitCode::kDone;
    }
  }
  interrupted();  // from here on Ctrl-C is a wish, also before the first step
  BELAY_ASSIGN_OR_RETURN(const train::PretrainOptions options, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(RunData data, open_run_data(verbs.env, a.data));
  PretrainSession run(verbs, a, options, std::move(data), std::move(compute));
  BELAY_RETURN_IF_ERROR(run.begin(options_json(verb), resume));
  verbs.log.info("{}", run.plan_lines());
  if (run.state().step > 0) {
    verbs.log.info("{}   from step {}", resume ? "resume" : "fork  ", run.state().step);
  }
  return run_session(run, verbs, typed.json);
}

}  // namespace

void add_pretrain(Verbs& verbs) {
  auto arguments = std::make_shared<PretrainArguments>();
  auto verb_of_run = std::make_shared<std::optional<Verb>>();
  Verb verb = verbs.add(
      {.name = "pretrain",
       .about = "Train a model, from nothing or from another one on",
       .examples = {"pretrain --max-seconds 60 --out runs/first",
                    "pretrain --depth 4 --steps 2000 --seed 7 --out runs/d4",
                    "pretrain --data shards --depth 4 --schedule wsd --steps 2000 --out runs/a",
                    "pretrain --data shards --from runs/a/model --lr 1e-3 --out runs/b",
                    "pretrain --resume runs/d4"}},
      [&verbs, arguments, verb_of_run] { return run_pretrain(verbs, **verb_of_run, *arguments); });
  *verb_of_run = verb;
  add_options(verb, *arguments);
}

}  // namespace belay::cli
