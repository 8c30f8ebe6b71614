#include "cli/pretrain_session.h"

#include <fmt/core.h>

#include "base/hash.h"
#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/pretrain_plan.h"
#include "cli/pretrain_resume.h"
#include "infer/continuation.h"
#include "model/hf_folder.h"
#include "report/run_report.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr double kMostOfTheTime = 0.01;  // that saving may take
constexpr double kSampleTemperature = 0.8;
constexpr std::string_view kForkFolder = "fork";
constexpr std::uint64_t kMaxMetricsBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kSampleBytes = 200;  // of a sample along the way

/// Runs that a person might still want are not destroyed unasked.
Status check_empty(const train::RunFolder& folder, bool overwrite) {
  if (overwrite || !folder.holds_a_run()) return {};
  return base::invalid_argument(
      {.where = "--out " + folder.path(),
       .what = "holds a run already",
       .next = fmt::format("go on with --resume {}, choose another --out, or add --overwrite",
                           folder.path())});
}

}  // namespace

ordered_json PretrainSession::identity() const {
  // The same data may lie elsewhere: the path is no part of it.
  const ordered_json data = {{"fingerprint", base::hex64(data_.set.fingerprint())}};
  return identity_of(arguments_, options_, data, compute_);
}

Result<model::ModelConfig> PretrainSession::choose_config(bool resume) {
  PretrainArguments a = arguments_;
  const std::string own = base::join_path(a.out, "model");
  const bool saved = resume && verbs_.env.exists(base::join_path(own, "config.json"));
  if (!a.from.empty() && saved) a.from = own;
  return config_of_run(verbs_.env, a, data_.set);
}

Status PretrainSession::make_model(bool resume) {
  base::Env& env = verbs_.env;
  BELAY_ASSIGN_OR_RETURN(config_, choose_config(resume));
  BELAY_RETURN_IF_ERROR(apply_dial(arguments_, config_, data_.set, options_));
  BELAY_ASSIGN_OR_RETURN(
      plan_, train::plan_state(env, config_, compute_.dtype, arguments_.context, options_));
  plan_.price_per_hour = arguments_.price_per_hour;
  model_.emplace(config_, compute_.dtype, true, arguments_.context);
  BELAY_RETURN_IF_ERROR(
      train::plan_step(compute_.ctx, env, *model_, arguments_.context, options_, plan_));
  return {};
}

/// Before the first step: drawn, or those of another model.
Status PretrainSession::first_weights() {
  checkpoints_.emplace(verbs_.env, arguments_.out, identity());
  if (arguments_.from.empty()) {
    model_->initialize(compute_.ctx, arguments_.seed, first_attention(arguments_));
    return {};
  }
  BELAY_ASSIGN_OR_RETURN(const model::LoadedModel loaded,
                         model::load_hf_folder(verbs_.env, arguments_.from));
  model_->load(compute_.ctx, loaded.weights);
  return {};
}

Status PretrainSession::begin(ordered_json options, bool resume, bool measure) {
  BELAY_RETURN_IF_ERROR(make_model(resume));
  BELAY_ASSIGN_OR_RETURN(folder_, train::RunFolder::open(verbs_.env, arguments_.out));
  BELAY_RETURN_IF_ERROR(resume ? begin_resumed() : begin_new(std::move(options), measure));
  BELAY_ASSIGN_OR_RETURN(metrics_, train::Metrics::open(verbs_.env, folder_->metrics_path(),
                                                        plan_.flops_per_token, state_));
  if (!data_.bytes) {
    BELAY_RETURN_IF_ERROR(data_.set.tokenizer().save(verbs_.env, folder_->model_folder()));
  }
  next_save_ = state_.seconds + arguments_.checkpoint_seconds;
  next_evaluation_ = state_.seconds + arguments_.eval_seconds;
  return {};
}

std::string PretrainSession::plan_lines() const {
  return plan_text(plan_, config_, options_, arguments_, data_.set, compute_);
}

Status PretrainSession::begin_new(ordered_json options, bool measure) {
  BELAY_RETURN_IF_ERROR(check_empty(*folder_, arguments_.overwrite));
  BELAY_RETURN_IF_ERROR(first_weights());  // they may be those of the run that is replaced
  BELAY_RETURN_IF_ERROR(folder_->clear());
  if (measure) {
    measure_time(verbs_.env, compute_, *model_, arguments_, options_, data_.set, plan_);
  }
  optimizer_.emplace(*model_, options_.optimizer);
  manifest_ = manifest_of(verbs_.command_line, options, plan_, arguments_, data_.set, compute_,
                          verbs_.env.wall_seconds());
  if (!arguments_.fork.empty()) BELAY_RETURN_IF_ERROR(load_fork());
  return folder_->write_manifest(manifest_);
}

Status PretrainSession::begin_resumed() {
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader manifest,
                         train::read_run_manifest(verbs_.env, arguments_.out));
  manifest_ = base::to_ordered(manifest.node());
  optimizer_.emplace(*model_, options_.optimizer);
  auto saved = train::read_saved_state(verbs_.env, arguments_.out);
  if (saved.ok()) {
    BELAY_RETURN_IF_ERROR(check_same_run(saved->run, identity(), arguments_.out));
    if (const std::string other = machine_difference(saved->run, identity()); !other.empty()) {
      verbs_.log.warn("{}: the bits will not be those of a run that was never stopped", other);
    }
    BELAY_RETURN_IF_ERROR(load(*saved));
  } else if (saved.status().code() == base::Code::kNotFound) {
    verbs_.log.warn("{} has no checkpoint yet: it begins again", arguments_.out);
    BELAY_RETURN_IF_ERROR(first_weights());
    if (!arguments_.fork.empty()) BELAY_RETURN_IF_ERROR(load_fork());
  } else {
    return saved.status();
  }
  ordered_json resumed = manifest_.value("resumed", ordered_json::array());
  resumed.push_back({{"step", state_.step},
                     {"started", verbs_.env.wall_seconds()},
                     {"command", verbs_.command_line}});
  return update_manifest({{"status", "running"}, {"resumed", std::move(resumed)}});
}

/// The newest checkpoint; the one before when that one is damaged, which is told.
Status PretrainSession::load(const train::SavedState& saved) {
  Status failed;
  for (const train::Checkpoint& c : saved.checkpoints) {
    const Status read =
        train::load_checkpoint(compute_.ctx, verbs_.env, arguments_.out, c, *model_, *optimizer_);
    if (read.ok()) {
      if (!failed.ok()) {
        verbs_.log.warn("{}; going on from the checkpoint before, step {}", failed.message(),
                        c.loop.step);
      }
      state_ = c.loop;
      checkpoints_.emplace(verbs_.env, arguments_.out, identity(), c);
      return {};
    }
    if (failed.ok()) failed = read;
  }
  return failed;
}

/// The state of a shorter run before it fell, with what its metrics say until there.
Status PretrainSession::load_fork() {
  const std::string& from = arguments_.fork;
  const std::string folder = base::join_path(from, kForkFolder);
  const auto saved = train::read_saved_state(verbs_.env, folder);
  if (!saved.ok() && saved.status().code() == base::Code::kNotFound) {
    return base::not_found({.where = "--fork " + from,
                            .what = "keeps no state from before its decay",
                            .next = "train it with --schedule wsd --keep-fork"});
  }
  BELAY_RETURN_IF_ERROR(saved.status());
  BELAY_RETURN_IF_ERROR(check_same_trunk(saved->run, identity(), from));
  const train::Checkpoint& kept = saved->checkpoints.front();
  if (const auto most = train::decay_begin(options_.schedule, options_.steps);
      kept.loop.step > most) {
    return base::invalid_argument(
        {.where = fmt::format("--steps {}", options_.steps),
         .what = fmt::format("is too short for --fork {}, whose decay begins later", from),
         .seen = fmt::format("decay from step {}", most),
         .allowed = fmt::format("from step {} on", kept.loop.step)});
  }
  BELAY_RETURN_IF_ERROR(
      train::load_checkpoint(compute_.ctx, verbs_.env, folder, kept, *model_, *optimizer_));
  state_ = kept.loop;
  manifest_["forked"] = {{"from", from},
                         {"step", state_.step},
                         {"tokens", state_.tokens},
                         {"seconds", state_.seconds}};
  const auto lines = verbs_.env.read_file(base::join_path(from, "metrics.jsonl"), kMaxMetricsBytes);
  if (!lines.ok()) return {};  // of no weight
  return base::write_file_atomic(verbs_.env, folder_->metrics_path(), *lines);
}

void PretrainSession::keep_fork_if_due(const train::StepInfo& info) {
  if (!arguments_.keep_fork || info.step != train::decay_begin(options_.schedule, options_.steps)) {
    return;
  }
  const std::string folder = base::join_path(arguments_.out, kForkFolder);
  const auto keep = [&]() -> Status {
    for (const char* part : {"state", "model"}) {
      BELAY_RETURN_IF_ERROR(verbs_.env.create_dirs(base::join_path(folder, part)));
    }
    train::Checkpointer kept(verbs_.env, folder, identity());
    BELAY_RETURN_IF_ERROR(kept.save(*model_, *optimizer_, state_));
    return kept.finish(*model_);
  };
  if (const Status done = keep(); !done.ok()) warn("no state for --fork: " + done.message());
}

Status PretrainSession::update_manifest(const ordered_json& fields) {
  for (const auto& [key, value] : fields.items()) manifest_[key] = value;
  return folder_->write_manifest(manifest_);
}

void PretrainSession::write_report() {
  add_metrics(metrics_->flush());
  const Status written = report::write_run_report(verbs_.env, arguments_.out);
  if (!written.ok()) warn("no report: " + written.message());
}

void PretrainSession::save_if_due(const train::StepInfo& info) {
  const std::int64_t every = arguments_.checkpoint_steps;
  const bool by_steps = every > 0 && info.step % every == 0;
  const bool by_clock = arguments_.checkpoint_seconds > 0 && info.seconds >= next_save_;
  if ((!by_steps && !by_clock) || info.progress >= 1) return;
  const double begin = verbs_.env.steady_seconds();
  if (const Status saved = checkpoints_->save(*model_, *optimizer_, state_); !saved.ok()) {
    warn(fmt::format("no checkpoint at step {}: {}", info.step, saved.message()));
  }
  write_report();
  const double took = verbs_.env.steady_seconds() - begin;
  next_save_ = info.seconds + std::max(arguments_.checkpoint_seconds, took / kMostOfTheTime);
}

Result<train::Validation> PretrainSession::validate(std::int64_t max_tokens) {
  return train::validate(compute_.ctx, verbs_.env, *model_, data_.set,
                         {.context = arguments_.context, .max_tokens = max_tokens});
}

std::string PretrainSession::continue_text(const std::string& prompt, std::int64_t n_bytes) {
  const text::Tokenizer& tokenizer = data_.set.tokenizer();
  std::vector<std::int32_t> ids;
  tokenizer.encode(prompt, ids);
  if (ids.empty()) return "";
  infer::Engine engine(compute_.ctx, *model_, {.context = arguments_.context, .sequences = 1});
  infer::ContinuationOptions options{
      .max_tokens = n_bytes,
      .vocab_size = tokenizer.vocab_size(),
      .sampler = {.temperature = kSampleTemperature, .seed = arguments_.seed}};
  if (const auto end = tokenizer.end_of_text()) options.stop_ids = {*end};
  std::int64_t written = 0;
  const auto made = infer::continue_ids(engine, ids, options, [&](std::int32_t id) {
    written += static_cast<std::int64_t>(tokenizer.token_bytes(id).size());
    return written < n_bytes;
  });
  return made.ok() ? tokenizer.decode(made->ids) : "";  // of a model that diverged: nothing
}

Status PretrainSession::evaluate_if_due(const train::StepInfo& info) {
  const std::int64_t every = arguments_.eval_steps;
  const bool by_steps = every > 0 && info.step % every == 0;
  const bool by_clock = arguments_.eval_seconds > 0 && info.seconds >= next_evaluation_;
  if ((!by_steps && !by_clock) || info.progress >= 1) return {};
  next_evaluation_ = info.seconds + arguments_.eval_seconds;
  if (data_.set.valid().n_tokens() > 1) {
    BELAY_ASSIGN_OR_RETURN(const train::Validation v, validate(arguments_.eval_tokens));
    add_metrics(metrics_->add({{"step", info.step},
                               {"tokens", info.tokens},
                               {"seconds", info.seconds},
                               {"val_loss", v.nats_per_token()},
                               {"val_bpb", v.bits_per_byte()}}));
  }
  const Excerpt excerpt = excerpt_of(data_.set, static_cast<std::size_t>(kSampleBytes));
  add_metrics(
      metrics_->add({{"step", info.step},
                     {"tokens", info.tokens},
                     {"prompt", base::utf8_text(excerpt.prompt)},
                     {"sample", base::utf8_text(continue_text(excerpt.prompt, kSampleBytes))}}));
  return {};
}

/// What is not as it should be: told at once, and kept with the metrics.
void PretrainSession::tell_events(const train::StepInfo& info, const train::TrainingData& data) {
  if (!info.skipped && !info.spike) return;
  std::string message;
  if (info.skipped) {
    message =
        fmt::format("the gradient of {} is not finite: the step is skipped; its rows begin at {}",
                    info.not_finite, data.locate_row(info.first_row));
  } else {
    message = fmt::format("the loss {:.3f} is far above the {:.3f} of late; highest in", info.loss,
                          state_.loss.mean);
    for (const train::RowLoss& row : info.worst) {
      if (row.row < 0) continue;
      message += fmt::format(" [{}: {:.3f}]", data.locate_row(row.row), row.loss);
    }
  }
  warn(fmt::format("step {}: {}", info.step, message));
  add_metrics(metrics_->add({{"step", info.step},
                             {"tokens", info.tokens},
                             {"event", info.skipped ? "skipped step" : "loss spike"},
                             {"message", message}}));
}

/// Metrics that cannot be written are no reason to stop: told once, and tried again.
void PretrainSession::add_metrics(const Status& written) {
  if (!written.ok() && !metrics_fail_) warn(written.message());
  metrics_fail_ = !written.ok();
}

/// In place of the progress line, which comes again.
void PretrainSession::warn(const std::string& message) {
  if (progress_) progress_->clear();
  verbs_.log.warn("{}", message);
}

void PretrainSession::after_step(const train::StepInfo& info, const train::TrainingData& data) {
  tell_events(info, data);
  add_metrics(metrics_->log(info));
  keep_fork_if_due(info);
  save_if_due(info);
}

Result<train::Ending> PretrainSession::train(const std::string& label) {
  const data::Batches batches(data_.set.train(), arguments_.context, arguments_.seed,
                              row_order(arguments_));
  const train::TrainingData data{data_.set, batches};
  base::Progress& progress = progress_.emplace(verbs_.env);
  const train::LoopState first = state_;
  train::StepInfo last;
  const auto shown = [&](const std::string& counter) {
    const double seconds = last.seconds - first.seconds;
    const auto tokens = static_cast<double>(last.tokens - first.tokens);
    return base::Progress::State{last.progress, counter, seconds > 0 ? tokens / seconds : 0,
                                 "tok/s", state_.loss.mean};
  };
  const auto counter = [&] {
    return options_.steps > 0 ? fmt::format("{}step {}/{}", label, state_.step, options_.steps)
                              : fmt::format("{}step {}", label, state_.step);
  };
  const auto on_step = [&](const train::StepInfo& info) -> Status {
    last = info;
    after_step(info, data);
    if (info.progress < 1) progress.update(shown(counter()));
    return evaluate_if_due(info);
  };
  const auto ending = train::pretrain(compute_.ctx, verbs_.env, *model_, *optimizer_, data,
                                      options_, state_, interrupted(), on_step);
  if (!ending.ok()) {
    const Status saved = checkpoints_->finish(*model_);
    if (!saved.ok()) warn(saved.message());
    return ending.status();
  }
  last.progress = 1;
  progress.finish(shown(counter()));
  BELAY_RETURN_IF_ERROR(checkpoints_->save(*model_, *optimizer_, state_));
  BELAY_RETURN_IF_ERROR(checkpoints_->finish(*model_));
  return *ending;
}

}  // namespace belay::cli
