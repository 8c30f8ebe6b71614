// belay pretrain: a byte-level model from the embedded corpus or a text file.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "base/units.h"
#include "cli/columns.h"
#include "cli/interrupt.h"
#include "cli/pretrain_report.h"
#include "cli/verbs.h"
#include "data/embedded_corpus.h"
#include "infer/byte_sample.h"
#include "model/hf_folder.h"
#include "train/plan.h"
#include "train/run_files.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kVocab = 256;
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

/// Everything that a run holds, in the order in which it comes to be.
struct Run {
  Verbs& verbs;
  const PretrainArguments& arguments;
  train::PretrainOptions options;
  ByteCorpus corpus;
  Compute compute;
  model::ModelConfig config;
  std::optional<model::Model> model;
  train::PretrainPlan plan;
};

Status make_model(Run& run) {
  const PretrainArguments& a = run.arguments;
  base::Env& env = run.verbs.env;
  run.config = train::config_of_depth(a.depth, kVocab, a.context);
  BELAY_ASSIGN_OR_RETURN(
      run.plan, train::plan_state(env, run.config, run.compute.dtype, a.context, run.options));
  run.model.emplace(run.config, run.compute.dtype, true, a.context);
  return train::plan_step(run.compute.ctx, env, *run.model, a.context, run.options, run.plan);
}

/// Trains with a progress line; what is not finite is told at once.
Result<train::PretrainResult> train_with_progress(Run& run, train::RunFiles& files) {
  const data::ByteBatches batches(run.corpus.train, run.arguments.context, run.arguments.seed);
  base::Progress progress(run.verbs.env);
  double loss = 0;
  train::StepInfo last;
  const auto state = [&](const std::string& counter) {
    const double rate = last.seconds > 0 ? static_cast<double>(last.tokens) / last.seconds : 0;
    return base::Progress::State{last.progress, counter, rate, "tok/s", loss};
  };
  const auto counter = [&] {
    return run.options.steps > 0 ? fmt::format("step {}/{}", last.step, run.options.steps)
                                 : fmt::format("step {}", last.step);
  };
  const auto result = train::pretrain(
      run.compute.ctx, run.verbs.env, *run.model, batches, run.options, interrupted(),
      [&](const train::StepInfo& info) -> Status {
        last = info;
        if (info.skipped) {
          progress.clear();
          run.verbs.log.warn("step {} skipped: its gradients are not finite", info.step);
        } else {
          loss = loss == 0 ? info.loss : 0.98 * loss + 0.02 * info.loss;
        }
        if (info.progress < 1) progress.update(state(counter()));
        return files.log(info);
      });
  if (result.ok()) {
    last.progress = 1;
    progress.finish(state(counter()));
  }
  return result;
}

Status save(const Run& run, train::RunFiles& files) {
  std::vector<std::span<const float>> weights;
  for (std::size_t i = 0; i < run.model->table().size(); ++i) {
    const tensor::View w = run.model->master(i);
    weights.emplace_back(w.f32(), static_cast<std::size_t>(w.count()));
  }
  return model::save_hf_folder(run.verbs.env, files.model_folder(), run.config, weights);
}

void print_sample(Run& run) {
  const Excerpt excerpt = excerpt_of(run.corpus.valid, static_cast<std::size_t>(kSampleBytes));
  const std::string sample = infer::sample_bytes(
      run.compute.ctx, *run.model, excerpt.prompt, kSampleBytes, run.arguments.context,
      {.temperature = kSampleTemperature, .seed = run.arguments.seed});
  const std::string book = std::string(excerpt.prompt) + std::string(excerpt.continuation);
  const std::string both = std::string(excerpt.prompt) + sample;
  std::fputs(two_columns({"the book goes on", book}, {"the model goes on", both}, 44).c_str(),
             stdout);
}

/// The manifest of a finished run; the metrics of its last line are among it.
ordered_json finished(ordered_json manifest, const train::PretrainResult& result,
                      const train::RunFiles& files, const train::ByteValidation& validation,
                      const Comparison& comparison) {
  manifest["status"] = result.interrupted ? "interrupted" : "done";
  manifest["steps"] = result.steps;
  manifest["tokens"] = result.tokens;
  manifest["skipped_steps"] = result.skipped;
  manifest["seconds"] = result.seconds;
  manifest["loss"] = files.recent_loss();
  manifest["val_loss"] = validation.nats_per_byte;
  manifest["val_bpb"] = validation.bits_per_byte();
  manifest["bigram_bpb"] = comparison.bigram;
  if (comparison.xz) manifest["xz_bpb"] = *comparison.xz;
  return manifest;
}

Result<ExitCode> run_pretrain(Verbs& verbs, const CLI::App& verb, const PretrainArguments& a) {
  BELAY_ASSIGN_OR_RETURN(const train::PretrainOptions options, resolve(a));
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(a.compute));
  BELAY_ASSIGN_OR_RETURN(ByteCorpus corpus, open_corpus(verbs.env, a));
  Run run{verbs, a, options, std::move(corpus), std::move(compute), {}, {}, {}};
  BELAY_RETURN_IF_ERROR(make_model(run));
  ordered_json manifest = manifest_of(verbs.command_line, options_json(verb), run.plan, a,
                                      run.corpus, run.compute, verbs.env.wall_seconds());
  train::RunFiles files(verbs.env, a.out, run.plan.flops_per_token);
  BELAY_RETURN_IF_ERROR(files.write_manifest(manifest));
  verbs.log.info("{}", plan_text(run.plan, run.config, options, a, run.corpus, run.compute));
  run.model->initialize(run.compute.ctx, a.seed);

  const auto trained = train_with_progress(run, files);
  if (!trained.ok()) {
    manifest["status"] = "failed";
    manifest["error"] = trained.status().message();
    BELAY_RETURN_IF_ERROR(files.write_manifest(manifest));
    return trained.status();
  }
  const train::PretrainResult& result = *trained;
  BELAY_RETURN_IF_ERROR(save(run, files));
  BELAY_ASSIGN_OR_RETURN(
      const train::ByteValidation validation,
      train::validate_bytes(run.compute.ctx, verbs.env, *run.model, run.corpus.valid, a.context));
  const Comparison comparison = compare(run.corpus, validation);
  BELAY_RETURN_IF_ERROR(files.finish({{"step", result.steps},
                                      {"tokens", result.tokens},
                                      {"val_loss", validation.nats_per_byte},
                                      {"val_bpb", validation.bits_per_byte()}}));
  manifest = finished(std::move(manifest), result, files, validation, comparison);
  BELAY_RETURN_IF_ERROR(files.write_manifest(manifest));
  if (a.json) {
    print_json(manifest);
    return ExitCode::kDone;
  }
  fmt::print("\n{}\n", comparison_text(comparison, run.corpus));
  print_sample(run);
  fmt::print("\nsaved in {}: {} steps, {} tokens{}\n", files.model_folder(), result.steps,
             base::count_text(static_cast<double>(result.tokens)),
             result.interrupted ? ", stopped before the end" : "");
  return ExitCode::kDone;
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
                    "pretrain --data book.txt --optimizer adamw --lr 3e-3"}},
      [&verbs, arguments, verb_of_run] { return run_pretrain(verbs, **verb_of_run, *arguments); });
  *verb_of_run = &verb;
  add_options(verb, *arguments);
}

}  // namespace belay::cli
