// belay pretrain: a model from token shards, a text file or the embedded novels, or from another
// model on.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/interrupt.h"
#include "cli/pretrain_resume.h"
#include "cli/pretrain_session.h"
#include "cli/verbs.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kSampleBytes = 400;

void print_sample(PretrainSession& run) {
  const Excerpt excerpt = excerpt_of(run.data().set, static_cast<std::size_t>(kSampleBytes));
  const std::string made = run.continue_text(excerpt.prompt, kSampleBytes);
  const std::string both = excerpt.prompt + made, text = excerpt.prompt + excerpt.continuation;
  std::fputs(two_columns({"the text goes on", text}, {"the model goes on", both}, 44).c_str(),
             stdout);
}

ordered_json totals_of(PretrainSession& run, std::string_view status) {
  return {{"status", status},
          {"steps", run.state().step},
          {"tokens", run.state().tokens},
          {"skipped_steps", run.state().skipped},
          {"seconds", run.state().seconds},
          {"loss", run.metrics().recent_loss()}};
}

/// What a run that came to its end is worth: into the manifest, the metrics and the report.
Status evaluate(PretrainSession& run, bool json) {
  if (run.data().set.valid().n_tokens() < 2) return {};
  BELAY_ASSIGN_OR_RETURN(const train::Validation validation, run.validate(0));
  const Comparison comparison = compare(run.data().set, run.data().embedded, validation);
  const ordered_json metrics = {{"val_loss", validation.nats_per_token()},
                                {"val_bpb", validation.bits_per_byte()}};
  ordered_json line = {
      {"step", run.state().step}, {"tokens", run.state().tokens}, {"seconds", run.state().seconds}};
  line.update(metrics);
  BELAY_RETURN_IF_ERROR(run.metrics().add(line));
  ordered_json fields = metrics;
  fields["bigram_bpb"] = comparison.bigram;
  if (comparison.xz) fields["xz_bpb"] = *comparison.xz;
  BELAY_RETURN_IF_ERROR(run.update_manifest(fields));
  if (json) return {};
  fmt::print("\n{}\n", comparison_text(comparison));
  print_sample(run);
  return {};
}

/// The totals of the run, and what it took beside what was planned.
ordered_json ending_of(PretrainSession& run, base::Env& env, std::string_view status) {
  ordered_json fields = totals_of(run, status);
  fields["measured"] =
      train::measured_json(env, run.arguments().out, run.plan(),
                           static_cast<double>(run.state().tokens), run.state().seconds);
  return fields;
}

std::string resume_command(const PretrainSession& run) {
  return "belay pretrain --resume " + run.arguments().out;
}

Result<ExitCode> run_session(PretrainSession& run, Verbs& verbs, bool json) {
  const auto ending = run.train();
  if (!ending.ok()) {
    ordered_json fields = totals_of(run, "failed");
    fields["error"] = ending.status().message();
    const Status written = run.update_manifest(fields);
    if (!written.ok()) verbs.log.warn("{}", written.message());
    run.write_report();
    return ending.status();
  }
  const bool done = *ending == train::Ending::kDone;
  if (*ending != train::Ending::kStopped) BELAY_RETURN_IF_ERROR(evaluate(run, json));
  BELAY_RETURN_IF_ERROR(run.metrics().flush());
  BELAY_RETURN_IF_ERROR(
      run.update_manifest(ending_of(run, verbs.env, done ? "done" : "interrupted")));
  run.write_report();
  if (json) {
    print_json(run.manifest());
    return ExitCode::kDone;
  }
  fmt::print("\nsaved in {}: {} steps, {} tokens\nreport   {}\n", run.model_folder(),
             run.state().step, base::count_text(static_cast<double>(run.state().tokens)),
             base::join_path(run.arguments().out, "report.html"));
  if (!done) fmt::print("stopped before the end; go on with\n  {}\n", resume_command(run));
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
  BELAY_ASSIGN_OR_RETURN(RunData data, open_run_data(verbs.env, a, options));
  PretrainSession run(verbs, a, options, std::move(data), std::move(compute));
  BELAY_RETURN_IF_ERROR(run.begin(options_json(verb), resume));
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
