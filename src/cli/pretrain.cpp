// belay pretrain: a byte-level model from the embedded corpus or a text file.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/pretrain_resume.h"
#include "cli/pretrain_session.h"
#include "cli/verbs.h"
#include "data/embedded_corpus.h"
#include "infer/byte_sample.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kSampleBytes = 400;
constexpr double kSampleTemperature = 0.8;
constexpr std::uint64_t kMaxTextBytes = std::uint64_t{4} << 30;
constexpr std::size_t kMaxValidBytes = std::size_t{1} << 20;

/// The embedded novels, or a file whose last twentieth (at most 1 MiB) is kept for validation.
Result<ByteCorpus> open_corpus(base::Env& env, const PretrainArguments& a) {
  ByteCorpus corpus;
  if (a.data.empty()) {
    data::Corpus novels = data::embedded_corpus();
    corpus = {"embedded novels", std::move(novels.train), std::move(novels.valid), true};
  } else {
    BELAY_ASSIGN_OR_RETURN(std::string text, env.read_file(a.data, kMaxTextBytes));
    const std::size_t n_valid = std::min(kMaxValidBytes, text.size() / 20);
    corpus.name = a.data;
    corpus.valid = text.substr(text.size() - n_valid);
    text.resize(text.size() - n_valid);
    corpus.train = std::move(text);
  }
  if (corpus.train.size() > static_cast<std::size_t>(a.context) && corpus.valid.size() > 1) {
    return corpus;
  }
  return base::unsupported(
      {.where = corpus.name,
       .what = "is too short to train on",
       .seen =
           fmt::format("{} bytes after one in twenty is kept for validation", corpus.train.size()),
       .allowed = fmt::format("more than the context, {}", a.context),
       .next = "use more text, or a smaller --context"});
}

void print_sample(PretrainSession& run) {
  const std::string_view valid = run.corpus().valid;
  const Excerpt excerpt = excerpt_of(valid, static_cast<std::size_t>(kSampleBytes));
  const std::string sample = infer::sample_bytes(
      run.ctx(), run.model(), excerpt.prompt, kSampleBytes, run.arguments().context,
      {.temperature = kSampleTemperature, .seed = run.arguments().seed});
  const std::string book = std::string(excerpt.prompt) + std::string(excerpt.continuation);
  const std::string both = std::string(excerpt.prompt) + sample;
  std::fputs(two_columns({"the book goes on", book}, {"the model goes on", both}, 44).c_str(),
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
Status evaluate(PretrainSession& run, Verbs& verbs, bool json) {
  const train::LoopState& state = run.state();
  BELAY_ASSIGN_OR_RETURN(const train::ByteValidation validation,
                         train::validate_bytes(run.ctx(), verbs.env, run.model(),
                                               run.corpus().valid, run.arguments().context));
  const Comparison comparison = compare(run.corpus(), validation);
  BELAY_RETURN_IF_ERROR(run.metrics().add({{"step", state.step},
                                           {"tokens", state.tokens},
                                           {"val_loss", validation.nats_per_byte},
                                           {"val_bpb", validation.bits_per_byte()}}));
  ordered_json fields = {{"val_loss", validation.nats_per_byte},
                         {"val_bpb", validation.bits_per_byte()},
                         {"bigram_bpb", comparison.bigram}};
  if (comparison.xz) fields["xz_bpb"] = *comparison.xz;
  BELAY_RETURN_IF_ERROR(run.update_manifest(fields));
  if (json) return {};
  fmt::print("\n{}\n", comparison_text(comparison, run.corpus()));
  print_sample(run);
  return {};
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
    return ending.status();
  }
  const bool done = *ending == train::Ending::kDone;
  if (*ending != train::Ending::kStopped) BELAY_RETURN_IF_ERROR(evaluate(run, verbs, json));
  BELAY_RETURN_IF_ERROR(run.metrics().flush());
  BELAY_RETURN_IF_ERROR(run.update_manifest(totals_of(run, done ? "done" : "interrupted")));
  if (json) {
    print_json(run.manifest());
    return ExitCode::kDone;
  }
  fmt::print("\nsaved in {}: {} steps, {} tokens\n", run.model_folder(), run.state().step,
             base::count_text(static_cast<double>(run.state().tokens)));
  if (!done) fmt::print("stopped before the end; go on with\n  {}\n", resume_command(run));
  return ExitCode::kDone;
}

Result<ExitCode> run_pretrain(Verbs& verbs, const CLI::App& verb, const PretrainArguments& typed) {
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
  BELAY_ASSIGN_OR_RETURN(const train::PretrainOptions options, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(ByteCorpus corpus, open_corpus(verbs.env, a));
  PretrainSession run(verbs, a, options, std::move(corpus), std::move(compute));
  BELAY_RETURN_IF_ERROR(run.begin(options_json(verb), resume));
  return run_session(run, verbs, typed.json);
}

}  // namespace

void add_pretrain(Verbs& verbs) {
  auto arguments = std::make_shared<PretrainArguments>();
  auto verb_of_run = std::make_shared<const CLI::App*>(nullptr);
  CLI::App& verb = verbs.add(
      {.name = "pretrain",
       .about = "Train a model of bytes from nothing",
       .examples = {"pretrain --max-seconds 60 --out runs/first",
                    "pretrain --depth 4 --steps 2000 --seed 7 --out runs/d4",
                    "pretrain --data book.txt --optimizer adamw --lr 3e-3",
                    "pretrain --resume runs/d4"}},
      [&verbs, arguments, verb_of_run] { return run_pretrain(verbs, **verb_of_run, *arguments); });
  *verb_of_run = &verb;
  add_options(verb, *arguments);
}

}  // namespace belay::cli
