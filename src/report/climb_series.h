// What the charts of a climb draw: its rungs, and the curves of its law.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "report/climb_record.h"

namespace belay::report {

/// {"sizes": [N, ...],          the sizes of models, rising; "size" below counts in it
///  "rungs": [{"name", "n", "d", "c", "loss", "law", "size", "row", "excluded"}, ...],
///  "rows": [{"row", "c", "curve": [[N, loss], ...], "best": [N, loss, D]}, ...],   equal compute
///  "lines": [{"size", "curve": [[D, loss], ...]}, ...],                  the law for each size
///  "frontier": [[FLOPs, loss, N, D], ...], "known": FLOPs,    the lowest loss that compute buys;
///                                                             beyond `known` nothing was measured
///  "next": {"c", "n", "d", "loss", "median", "low80", "high80", "low95", "high95", ...},
///  "beyond": {"c", "median", "low80", "high80"}}
/// Numbers have six digits; what is not known is null or absent. Cost: some thousand evaluations of
/// the law a curve.
nlohmann::ordered_json climb_series(const Climb& climb);

}  // namespace belay::report
