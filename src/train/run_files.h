// The files of a run: run.json (the manifest) and metrics.jsonl (one object a logged step). Each is
// replaced as a whole, so that a killed run leaves files that parse.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "train/pretrain.h"

namespace belay::train {

class RunFiles {
 public:
  RunFiles(base::Env& env, std::string folder, double flops_per_token)
      : env_(env), folder_(std::move(folder)), flops_per_token_(flops_per_token) {}

  /// Creates the folder and writes the manifest; a folder that cannot be written fails here.
  base::Status write_manifest(const nlohmann::ordered_json& manifest);

  /// Takes note of a step; a line is logged for the first and the last one and twice a second,
  /// with the mean loss since the line before. The file is renewed every ten seconds.
  base::Status log(const StepInfo& info);
  /// Adds a line of other metrics (val_loss, val_bpb) and renews the file.
  base::Status finish(const nlohmann::ordered_json& metrics);

  /// Mean loss of the last logged line.
  double recent_loss() const { return recent_loss_; }
  std::string model_folder() const { return base::join_path(folder_, "model"); }

 private:
  base::Status flush();

  base::Env& env_;
  std::string folder_;
  double flops_per_token_;
  std::string lines_;
  double sum_ = 0, recent_loss_ = 0;
  std::int64_t n_ = 0, last_tokens_ = 0;
  double last_seconds_ = 0, last_flush_ = 0;
};

}  // namespace belay::train
