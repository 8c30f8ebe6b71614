// `belay score --file`: a text through the model's tokenizer; and what it shares with --ids.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/compute.h"
#include "cli/verbs.h"
#include "model/score.h"

namespace belay::cli {

struct ScoreArguments {
  std::string model, ids, file;
  std::int64_t context = 0;
  model::ScoreOptions score;
  int quantize = 0;
  ComputeOptions compute;
  bool json = false;
};

/// Scores the file as one document, which begins as document_begin() says.
base::Result<ExitCode> score_file(Verbs& verbs, const ScoreArguments& arguments);

/// Sum of -log p.
double nats_of(const std::vector<float>& logprobs);
/// null for the first token, then each value in the fewest digits that read back as the same float.
nlohmann::ordered_json logprobs_json(const std::vector<float>& logprobs);
/// What computed it: model, dtype, isa.
void add_model(nlohmann::ordered_json& report, const ScoreArguments& arguments,
               const Compute& compute);

}  // namespace belay::cli
