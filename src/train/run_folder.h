// The folder of a run: runs/NAME/{run.json, metrics.jsonl, model/, state/}. One process at a time
// has it open. run.json is replaced as a whole; metrics.jsonl grows by whole lines, so that a
// killed run leaves lines that parse.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/env.h"
#include "base/json.h"
#include "base/status.h"
#include "train/pretrain.h"

namespace belay::train {

class RunFolder {
 public:
  /// Creates the folder with model/ and state/ when missing and locks it; kIo when another process
  /// has it open. Removes temporary files that a killed process left.
  static base::Result<RunFolder> open(base::Env& env, const std::string& path);

  /// There is a checkpoint or a model, which a new run in this folder would destroy.
  bool holds_a_run() const;
  /// Removes what an earlier run left: checkpoints first, so that no part of it can be resumed.
  base::Status clear();

  base::Status write_manifest(const nlohmann::ordered_json& manifest);

  const std::string& path() const { return path_; }
  std::string model_folder() const { return base::join_path(path_, "model"); }
  std::string metrics_path() const { return base::join_path(path_, "metrics.jsonl"); }

 private:
  RunFolder(base::Env& env, std::string path, std::unique_ptr<base::FileLock> lock)
      : env_(&env), path_(std::move(path)), lock_(std::move(lock)) {}

  base::Env* env_;
  std::string path_;
  std::unique_ptr<base::FileLock> lock_;
};

/// run.json as it was written; kNotFound, with what a run folder is, when there is none.
base::Result<base::JsonReader> read_run_manifest(base::Env& env, const std::string& run_folder);

/// The lines of metrics.jsonl: one for the first and the last step and twice a second, with the
/// mean loss since the line before, and others that are added.
class Metrics {
 public:
  /// Goes on after `from`: later lines of the file are dropped, and lines that do not parse.
  static base::Result<Metrics> open(base::Env& env, const std::string& path, double flops_per_token,
                                    const LoopState& from);

  /// Takes note of a step. A failure to write is not lost work: the lines are kept and written with
  /// later ones.
  base::Status log(const StepInfo& info);
  base::Status add(const nlohmann::ordered_json& line);
  base::Status flush();

  /// Mean loss of the last logged line; 0: none yet.
  double recent_loss() const { return recent_loss_; }

 private:
  Metrics(base::Env& env, double flops_per_token, const LoopState& from)
      : env_(&env),
        flops_per_token_(flops_per_token),
        last_tokens_(from.tokens),
        last_seconds_(from.seconds) {}

  base::Env* env_;
  std::unique_ptr<base::WritableFile> file_;
  double flops_per_token_;
  std::string lines_;  // not written yet
  double sum_ = 0, recent_loss_ = 0;
  std::int64_t n_ = 0, last_tokens_;
  double last_seconds_, last_flush_ = 0;
};

}  // namespace belay::train
