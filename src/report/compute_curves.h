// Which loss of two or more runs can be compared at equal compute, and the curves of it.
//
// Validation losses are preferred where every run has two or more; else the training loss, as its
// trailing mean over a sixth of the compute. Runs on the same data (by fingerprint) are compared in
// nats per token; others in bits per byte, which another vocabulary does not change.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "forecast/compute_multiplier.h"
#include "store/run_record.h"

namespace belay::report {

struct ComputeCurves {
  bool validation = false;              // else the training loss
  bool bits_per_byte = false;           // else nats per token
  bool other_training_text = false;     // training losses are of different texts
  std::vector<forecast::Curve> curves;  // of each run, in order; empty where nothing was logged

  /// "validation loss, nats per token".
  std::string measure() const;
};

/// Of a training loss that is compared.
constexpr double kSmoothingRatio = 1.2;

/// kInvalidArgument when the runs were validated on different text (by its documents and bytes), or
/// when different vocabularies meet and a run does not know the bytes of its text.
base::Result<ComputeCurves> compute_curves(const std::vector<store::RunRecord>& runs);

}  // namespace belay::report
