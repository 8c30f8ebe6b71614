// The curves of a run for the charts of its report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "store/run_record.h"

namespace belay::report {

/// {"train": {"tokens": [...], "flops", "seconds", "loss", "lr", "grad_norm", "tokens_per_second"},
///  "valid": {"tokens", "flops", "seconds", "val_loss", "val_bpb"}}: columns of equal length, null
/// where a line lacks the value. Of more than max_points training lines, neighbours are put
/// together: the mean of what was measured, the last of what counts up. Validation lines that know
/// no seconds or FLOPs get those of the training line before them.
nlohmann::ordered_json series_of(const store::RunRecord& run, std::size_t max_points = 1200);

/// A number with six digits, more than a screen shows; null for nothing.
nlohmann::ordered_json rounded(std::optional<double> value);

}  // namespace belay::report
