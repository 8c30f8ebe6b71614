#include "cli/pretrain_session.h"

#include <fmt/core.h>

#include "base/progress.h"
#include "cli/interrupt.h"
#include "cli/pretrain_resume.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::int64_t kVocab = 256;
constexpr double kMostOfTheTime = 0.01;  // that saving may take

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
  ordered_json data = data_json(corpus_);
  data.erase("name");  // the same data may lie elsewhere
  return identity_of(arguments_, options_, data, compute_);
}

Status PretrainSession::make_model() {
  base::Env& env = verbs_.env;
  config_ = train::config_of_depth(arguments_.depth, kVocab, arguments_.context);
  BELAY_ASSIGN_OR_RETURN(
      plan_, train::plan_state(env, config_, compute_.dtype, arguments_.context, options_));
  model_.emplace(config_, compute_.dtype, true, arguments_.context);
  BELAY_RETURN_IF_ERROR(
      train::plan_step(compute_.ctx, env, *model_, arguments_.context, options_, plan_));
  optimizer_.emplace(*model_, options_.optimizer);
  return {};
}

Status PretrainSession::begin(ordered_json options, bool resume) {
  BELAY_RETURN_IF_ERROR(make_model());
  BELAY_ASSIGN_OR_RETURN(folder_, train::RunFolder::open(verbs_.env, arguments_.out));
  BELAY_RETURN_IF_ERROR(resume ? begin_resumed() : begin_new(std::move(options)));
  BELAY_ASSIGN_OR_RETURN(metrics_, train::Metrics::open(verbs_.env, folder_->metrics_path(),
                                                        plan_.flops_per_token, state_));
  next_save_ = state_.seconds + arguments_.checkpoint_seconds;
  verbs_.log.info("{}", plan_text(plan_, config_, options_, arguments_, corpus_, compute_));
  if (resume) verbs_.log.info("resume   {} from step {}", arguments_.out, state_.step);
  return {};
}

Status PretrainSession::begin_new(ordered_json options) {
  BELAY_RETURN_IF_ERROR(check_empty(*folder_, arguments_.overwrite));
  BELAY_RETURN_IF_ERROR(folder_->clear());
  manifest_ = manifest_of(verbs_.command_line, options, plan_, arguments_, corpus_, compute_,
                          verbs_.env.wall_seconds());
  BELAY_RETURN_IF_ERROR(folder_->write_manifest(manifest_));
  model_->initialize(compute_.ctx, arguments_.seed);
  checkpoints_.emplace(verbs_.env, arguments_.out, identity());
  return {};
}

Status PretrainSession::begin_resumed() {
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader manifest,
                         train::read_run_manifest(verbs_.env, arguments_.out));
  manifest_ = ordered_json::parse(manifest.node().dump());
  auto saved = train::read_saved_state(verbs_.env, arguments_.out);
  if (saved.ok()) {
    BELAY_RETURN_IF_ERROR(check_same_run(saved->run, identity(), arguments_.out));
    if (const std::string other = machine_difference(saved->run, identity()); !other.empty()) {
      verbs_.log.warn("{}: the bits will not be those of a run that was never stopped", other);
    }
    BELAY_RETURN_IF_ERROR(load(*saved));
  } else if (saved.status().code() == base::Code::kNotFound) {
    verbs_.log.warn("{} has no checkpoint yet: it begins again", arguments_.out);
    model_->initialize(compute_.ctx, arguments_.seed);
    checkpoints_.emplace(verbs_.env, arguments_.out, identity());
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

Status PretrainSession::update_manifest(const ordered_json& fields) {
  for (const auto& [key, value] : fields.items()) manifest_[key] = value;
  return folder_->write_manifest(manifest_);
}

void PretrainSession::save_if_due(const train::StepInfo& info) {
  const std::int64_t every = arguments_.checkpoint_steps;
  const bool by_steps = every > 0 && info.step % every == 0;
  const bool by_clock = arguments_.checkpoint_seconds > 0 && info.seconds >= next_save_;
  if ((!by_steps && !by_clock) || info.progress >= 1) return;
  const double begin = verbs_.env.steady_seconds();
  if (const Status saved = checkpoints_->save(*model_, *optimizer_, state_); !saved.ok()) {
    verbs_.log.warn("no checkpoint at step {}: {}", info.step, saved.message());
  }
  const double took = verbs_.env.steady_seconds() - begin;
  next_save_ = info.seconds + std::max(arguments_.checkpoint_seconds, took / kMostOfTheTime);
}

Status PretrainSession::after_step(const train::StepInfo& info) {
  const Status logged = metrics_->log(info);
  if (!logged.ok() && !metrics_fail_) verbs_.log.warn("{}", logged.message());
  metrics_fail_ = !logged.ok();
  save_if_due(info);
  return {};
}

Result<train::Ending> PretrainSession::train() {
  const data::ByteBatches batches(corpus_.train, arguments_.context, arguments_.seed);
  base::Progress progress(verbs_.env);
  const train::LoopState first = state_;
  train::StepInfo last;
  const auto shown = [&](const std::string& counter) {
    const double seconds = last.seconds - first.seconds;
    const auto tokens = static_cast<double>(last.tokens - first.tokens);
    return base::Progress::State{last.progress, counter, seconds > 0 ? tokens / seconds : 0,
                                 "tok/s", state_.loss.mean};
  };
  const auto counter = [&] {
    return options_.steps > 0 ? fmt::format("step {}/{}", state_.step, options_.steps)
                              : fmt::format("step {}", state_.step);
  };
  const auto ending =
      train::pretrain(compute_.ctx, verbs_.env, *model_, *optimizer_, batches, options_, state_,
                      interrupted(), [&](const train::StepInfo& info) -> Status {
                        last = info;
                        if (info.skipped) {
                          progress.clear();
                          verbs_.log.warn("step {} skipped: the gradient of {} is not finite",
                                          info.step, info.not_finite);
                        }
                        if (info.progress < 1) progress.update(shown(counter()));
                        return after_step(info);
                      });
  if (!ending.ok()) {
    const Status saved = checkpoints_->finish(*model_);
    if (!saved.ok()) verbs_.log.warn("{}", saved.message());
    return ending.status();
  }
  last.progress = 1;
  progress.finish(shown(counter()));
  BELAY_RETURN_IF_ERROR(checkpoints_->save(*model_, *optimizer_, state_));
  BELAY_RETURN_IF_ERROR(checkpoints_->finish(*model_));
  return *ending;
}

}  // namespace belay::cli
