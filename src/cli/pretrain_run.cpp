#include "cli/pretrain_run.h"

#include "base/json.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kSampleBytes = 400;

ordered_json totals_of(PretrainSession& run, std::string_view status) {
  return {{"status", status},
          {"steps", run.state().step},
          {"tokens", run.state().tokens},
          {"flops", run.plan().flops_per_token * static_cast<double>(run.state().tokens)},
          {"skipped_steps", run.state().skipped},
          {"seconds", run.state().seconds},
          {"loss", run.metrics().recent_loss()}};
}

/// What a run that came to its end is worth: into the manifest, the metrics and the report.
Status evaluate(PretrainSession& run, PretrainResult& result) {
  if (run.data().set.valid().n_tokens() < 2) return {};
  BELAY_ASSIGN_OR_RETURN(const train::Validation validation, run.validate(0));
  result.comparison = compare(run.data().set, run.data().embedded, validation);
  const ordered_json metrics = {{"val_loss", validation.nats_per_token()},
                                {"val_bpb", validation.bits_per_byte()}};
  ordered_json line = {
      {"step", run.state().step}, {"tokens", run.state().tokens}, {"seconds", run.state().seconds}};
  line.update(metrics);
  BELAY_RETURN_IF_ERROR(run.metrics().add(line));
  result.excerpt = excerpt_of(run.data().set, static_cast<std::size_t>(kSampleBytes));
  result.text = run.continue_text(result.excerpt.prompt, kSampleBytes);
  ordered_json fields = metrics;
  fields["bigram_bpb"] = result.comparison->bigram;
  if (result.comparison->xz) fields["xz_bpb"] = *result.comparison->xz;
  fields["sample"] = {{"prompt", base::utf8_text(result.excerpt.prompt)},
                      {"text", base::utf8_text(result.text)}};
  return run.update_manifest(fields);
}

/// The totals of the run, and what it took beside what was planned.
ordered_json ending_of(PretrainSession& run, base::Env& env, std::string_view status) {
  ordered_json fields = totals_of(run, status);
  fields["measured"] =
      train::measured_json(env, run.arguments().out, run.plan(),
                           static_cast<double>(run.state().tokens), run.state().seconds);
  return fields;
}

}  // namespace

Result<PretrainResult> train_and_evaluate(PretrainSession& run, Verbs& verbs,
                                          const std::string& label) {
  const auto ending = run.train(label);
  if (!ending.ok()) {
    ordered_json fields = totals_of(run, "failed");
    fields["error"] = ending.status().message();
    fields["diverged"] = ending.status().code() == base::Code::kCorrupt;
    const Status written = run.update_manifest(fields);
    if (!written.ok()) verbs.log.warn("{}", written.message());
    run.write_report();
    return ending.status();
  }
  PretrainResult result;
  result.ending = *ending;
  const bool done = *ending == train::Ending::kDone;
  if (*ending != train::Ending::kStopped) BELAY_RETURN_IF_ERROR(evaluate(run, result));
  BELAY_RETURN_IF_ERROR(run.metrics().flush());
  BELAY_RETURN_IF_ERROR(
      run.update_manifest(ending_of(run, verbs.env, done ? "done" : "interrupted")));
  run.write_report();
  return result;
}

}  // namespace belay::cli
