#include "train/run_folder.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace belay::train {
namespace {

using base::Env;
using base::join_path;
using base::Result;
using base::Status;

constexpr double kLogPeriod = 0.5, kFlushPeriod = 1;  // seconds
constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxMetricsBytes = std::uint64_t{4} << 30;

Status remove_if_there(Env& env, const std::string& path) {
  return env.exists(path) ? env.remove_file(path) : Status();
}

Status remove_temporaries(Env& env, const std::string& folder) {
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(folder));
  for (const std::string& name : names) {
    if (!base::is_temporary_name(name)) continue;
    BELAY_RETURN_IF_ERROR(env.remove_file(join_path(folder, name)));
  }
  return {};
}

/// A line of metrics.jsonl that belongs to the first `step` steps.
bool belongs(std::string_view line, std::int64_t step) {
  const nlohmann::json json = base::json_value(line);
  if (!json.is_object()) return false;
  const auto found = json.find("step");
  return found != json.end() && found->is_number_integer() && found->get<std::int64_t>() <= step;
}

}  // namespace

Result<RunFolder> RunFolder::open(Env& env, const std::string& path) {
  const std::string state = join_path(path, "state"), model = join_path(path, "model");
  BELAY_RETURN_IF_ERROR(env.create_dirs(state));
  BELAY_RETURN_IF_ERROR(env.create_dirs(model));
  auto lock = env.lock_file(join_path(state, "lock"));
  if (!lock.ok()) return lock.status().within(path);
  for (const std::string& folder : {path, state, model}) {
    BELAY_RETURN_IF_ERROR(remove_temporaries(env, folder));
  }
  return RunFolder(env, path, std::move(lock).value());
}

bool RunFolder::holds_a_run() const {
  return env_->exists(join_path(path_, "state/checkpoint.json")) ||
         env_->exists(join_path(path_, "model/config.json"));
}

Status RunFolder::clear() {
  for (const char* folder : {"state", "model", "fork/state", "fork/model", ""}) {
    const std::string in = folder[0] == '\0' ? path_ : join_path(path_, folder);
    if (!env_->is_directory(in)) continue;
    for (const char* name : {"checkpoint.json", "config.json", "run.json", "metrics.jsonl"}) {
      BELAY_RETURN_IF_ERROR(remove_if_there(*env_, join_path(in, name)));
    }
    BELAY_RETURN_IF_ERROR(env_->sync_dir(in));
    BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env_->list_dir(in));
    for (const std::string& name : names) {
      if (!name.ends_with(".safetensors")) continue;
      BELAY_RETURN_IF_ERROR(env_->remove_file(join_path(in, name)));
    }
  }
  return {};
}

Status RunFolder::write_manifest(const nlohmann::ordered_json& manifest) {
  return base::write_file_atomic(*env_, join_path(path_, "run.json"), manifest.dump(2) + "\n");
}

Result<base::JsonReader> read_run_manifest(Env& env, const std::string& run_folder) {
  const std::string path = join_path(run_folder, "run.json");
  if (!env.exists(path)) {
    return base::not_found({.where = run_folder,
                            .what = "is no run",
                            .allowed = "a folder that belay pretrain --out has made"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxManifestBytes));
  return base::parse_json(text, path);
}

Result<Metrics> Metrics::open(Env& env, const std::string& path, double flops_per_token,
                              const LoopState& from) {
  Metrics metrics(env, flops_per_token, from);
  if (env.exists(path)) {
    BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxMetricsBytes));
    std::string kept;
    for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
      end = std::min(text.size(), text.find('\n', begin)) + 1;
      const auto line = std::string_view(text).substr(begin, end - begin);
      if (line.ends_with('\n') && belongs(line, from.step)) kept += line;
    }
    if (kept != text) BELAY_RETURN_IF_ERROR(base::write_file_atomic(env, path, kept));
  }
  BELAY_ASSIGN_OR_RETURN(metrics.file_, env.append_file(path));
  return metrics;
}

Status Metrics::log(const StepInfo& info) {
  sum_ += info.loss;
  ++n_;
  const double apart = info.seconds - last_seconds_;
  if (info.step > 1 && info.progress < 1 && apart < kLogPeriod) return {};
  recent_loss_ = sum_ / static_cast<double>(n_);
  const double rate = apart > 0 ? static_cast<double>(info.tokens - last_tokens_) / apart : 0;
  sum_ = 0;
  n_ = 0;
  last_tokens_ = info.tokens;
  last_seconds_ = info.seconds;
  return add({{"step", info.step},
              {"tokens", info.tokens},
              {"flops", flops_per_token_ * static_cast<double>(info.tokens)},
              {"seconds", info.seconds},
              {"loss", recent_loss_},
              {"lr", info.lr},
              {"grad_norm", info.grad_norm},
              {"tokens_per_second", rate}});
}

Status Metrics::add(const nlohmann::ordered_json& line) {
  lines_ += line.dump() + "\n";
  const double now = env_->steady_seconds();
  if (now - last_flush_ < kFlushPeriod) return {};
  last_flush_ = now;
  return flush();
}

Status Metrics::flush() {
  if (lines_.empty()) return {};
  if (const Status written = file_->write(std::as_bytes(std::span(lines_))); !written.ok()) {
    if (lines_.front() != '\n') lines_.insert(0, "\n");  // what was written may end in a line
    return written;
  }
  lines_.clear();
  return {};
}

}  // namespace belay::train
