// What `belay pretrain` says before it starts and when it is done.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/compute.h"
#include "cli/pretrain_options.h"
#include "train/byte_validation.h"
#include "train/plan.h"

namespace belay::cli {

/// Where the text of a run comes from.
struct ByteCorpus {
  std::string name;  // a path, or "embedded novels"
  std::string train, valid;
  bool embedded = false;
};

/// Parameters, FLOPs, memory, machine, batch and end of the run, in a few lines.
std::string plan_text(const train::PretrainPlan& plan, const model::ModelConfig& config,
                      const train::PretrainOptions& options, const PretrainArguments& arguments,
                      const ByteCorpus& corpus, const Compute& compute);

/// Bits per byte of the model beside those of simpler methods.
struct Comparison {
  double model = 0, bigram = 0;
  std::optional<double> xz;
};
Comparison compare(const ByteCorpus& corpus, const train::ByteValidation& validation);
std::string comparison_text(const Comparison& comparison, const ByteCorpus& corpus);

/// A piece of the validation text: the words that a sample starts from, and how the text goes on.
struct Excerpt {
  std::string_view prompt, continuation;
};
Excerpt excerpt_of(std::string_view text, std::size_t n_bytes);

/// The texts by name, size and hash.
nlohmann::ordered_json data_json(const ByteCorpus& corpus);

/// The manifest of a run at its start: run.json.
nlohmann::ordered_json manifest_of(const std::vector<std::string>& command_line,
                                   const nlohmann::ordered_json& options,
                                   const train::PretrainPlan& plan,
                                   const PretrainArguments& arguments, const ByteCorpus& corpus,
                                   const Compute& compute, double started);

}  // namespace belay::cli
