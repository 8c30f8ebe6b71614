// The part of `belay runs compare` on compute: its document and its text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "forecast/compute_multiplier.h"
#include "report/compute_curves.h"
#include "store/run_index.h"
#include "store/run_record.h"

namespace belay::cli {

/// Seeds of one training: the name of the first with the number of others, and their places among
/// the runs.
struct RunGroup {
  std::string name;
  std::vector<std::size_t> members;
};

/// The first group against each of the others.
struct ComputeComparison {
  struct Against {
    RunGroup group;
    bool paired = false;                                    // by seed
    std::optional<forecast::ComputeMultiplier> multiplier;  // absent: no loss that all reached
  };
  RunGroup first;
  report::ComputeCurves curves;
  std::vector<Against> others;
};

/// Fails as report::compute_curves does.
base::Result<ComputeComparison> compare_compute(const std::vector<store::RunRecord>& runs,
                                                const std::vector<RunGroup>& groups);

/// rows: of the same runs. Curves included.
nlohmann::ordered_json compute_json(const ComputeComparison& comparison,
                                    const std::vector<store::RunRow>& rows);
/// A table for each comparison and a sentence.
std::string compute_text(const ComputeComparison& comparison);

}  // namespace belay::cli
