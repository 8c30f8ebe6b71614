// One process's part of a pretraining run: its folder, model, optimizer and checkpoints, from the
// first step or from a checkpoint on.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "cli/pretrain_data.h"
#include "cli/pretrain_report.h"
#include "cli/verbs.h"
#include "train/checkpoint.h"
#include "train/run_folder.h"

namespace belay::cli {

class PretrainSession {
 public:
  PretrainSession(Verbs& verbs, const PretrainArguments& arguments,
                  const train::PretrainOptions& options, RunData data, Compute compute)
      : verbs_(verbs),
        arguments_(arguments),
        options_(options),
        data_(std::move(data)),
        compute_(std::move(compute)) {}

  /// Plans, takes the memory, and opens the folder: an empty one, or that of the run to resume.
  /// measure: a second of real steps for the plan's time.
  base::Status begin(nlohmann::ordered_json options, bool resume, bool measure = true);
  /// What the run will take, in a few lines.
  std::string plan_lines() const;
  /// Trains to the end with a progress line (after `label`), metrics and checkpoints. Ends with a
  /// checkpoint.
  base::Result<train::Ending> train(const std::string& label = "");

  /// Of the first max_tokens of the validation split (0: all).
  base::Result<train::Validation> validate(std::int64_t max_tokens);
  /// About n_bytes that the model writes after the prompt.
  std::string continue_text(const std::string& prompt, std::int64_t n_bytes);

  /// Replaces fields of the manifest and writes it.
  base::Status update_manifest(const nlohmann::ordered_json& fields);

  /// Writes report.html. A failure is told and is no failure of the run.
  void write_report();

  const nlohmann::ordered_json& manifest() const { return manifest_; }
  const PretrainArguments& arguments() const { return arguments_; }
  const RunData& data() const { return data_; }
  const train::LoopState& state() const { return state_; }
  const train::PretrainPlan& plan() const { return plan_; }
  train::Metrics& metrics() { return *metrics_; }
  std::string model_folder() const { return folder_->model_folder(); }

 private:
  base::Result<model::ModelConfig> choose_config(bool resume);
  base::Status make_model(bool resume);
  base::Status first_weights();
  base::Status begin_new(nlohmann::ordered_json options, bool measure);
  base::Status begin_resumed();
  base::Status load(const train::SavedState& saved);
  base::Status load_fork();
  void keep_fork_if_due(const train::StepInfo& info);
  nlohmann::ordered_json identity() const;
  void after_step(const train::StepInfo& info, const train::TrainingData& data);
  void tell_events(const train::StepInfo& info, const train::TrainingData& data);
  void warn(const std::string& message);
  void add_metrics(const base::Status& written);
  void save_if_due(const train::StepInfo& info);
  base::Status evaluate_if_due(const train::StepInfo& info);

  Verbs& verbs_;
  PretrainArguments arguments_;
  train::PretrainOptions options_;
  RunData data_;
  Compute compute_;
  model::ModelConfig config_;
  train::PretrainPlan plan_;
  std::optional<model::Model> model_;
  std::optional<train::Optimizer> optimizer_;
  std::optional<train::RunFolder> folder_;
  std::optional<train::Checkpointer> checkpoints_;
  std::optional<train::Metrics> metrics_;
  std::optional<base::Progress> progress_;  // while it trains
  nlohmann::ordered_json manifest_;
  train::LoopState state_;
  double next_save_ = 0, next_evaluation_ = 0;  // in seconds of training
  bool metrics_fail_ = false;
};

}  // namespace belay::cli
