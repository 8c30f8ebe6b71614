// A pretraining run from its options to its last line, for every verb that trains: it begins, or
// goes on where it was, trains, is validated, and leaves its manifest and report.
#pragma once

#include <optional>

#include "cli/pretrain_session.h"

namespace belay::cli {

/// What a finished run is worth.
struct PretrainResult {
  train::Ending ending = train::Ending::kStopped;
  // Where there is a validation split, and the run came to an end.
  std::optional<BaselineComparison> comparison;
  Excerpt excerpt;   // of the validation text
  std::string text;  // how the model goes on after its prompt
};

/// Trains the session's run to its end, and writes what came of it into its folder. label: before
/// the counter of the progress line. A failure is in the manifest too.
base::Result<PretrainResult> train_and_evaluate(PretrainSession& run, Verbs& verbs,
                                                const std::string& label = "");

}  // namespace belay::cli
