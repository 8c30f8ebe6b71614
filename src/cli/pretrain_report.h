// What `belay pretrain` says before it starts and when it is done.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/compute.h"
#include "cli/pretrain_options.h"
#include "data/dataset.h"
#include "train/plan.h"
#include "train/validation.h"

namespace belay::cli {

/// Parameters, FLOPs, memory, machine, batch and end of the run, in a few lines.
std::string plan_text(const train::PretrainPlan& plan, const model::ModelConfig& config,
                      const train::PretrainOptions& options, const PretrainArguments& arguments,
                      const data::Dataset& set, const Compute& compute);

/// Bits per byte of the model on the validation text beside those of simpler methods.
struct BaselineComparison {
  double model = 0, bigram = 0;
  std::optional<double> xz;
  std::int64_t n_bytes = 0;
};
/// embedded: the data are the embedded novels, for which the figure of xz is known.
BaselineComparison compare(const data::Dataset& set, bool embedded,
                           const train::Validation& validation);
std::string comparison_text(const BaselineComparison& comparison);

/// The manifest of a run at its start: run.json.
nlohmann::ordered_json manifest_of(const std::vector<std::string>& command_line,
                                   const nlohmann::ordered_json& options,
                                   const train::PretrainPlan& plan,
                                   const PretrainArguments& arguments, const data::Dataset& set,
                                   const Compute& compute, double started);

}  // namespace belay::cli
