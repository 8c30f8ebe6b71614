// At equal loss, how many times as much compute one way of training takes as another: from curves
// of loss against FLOPs, read sideways. Pure functions, no files.
//
// A curve is read by its best loss so far, linear in (log FLOPs, loss) between the points that
// improved on it. A group is the same training under several seeds: its FLOPs to a loss are the
// geometric mean of theirs. Loss levels are those of A's mean curve at FLOPs evenly spaced in their
// logarithm, over the last factor of ten before the lowest loss that every curve reached.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/rng.h"
#include "stats/summary.h"

namespace belay::forecast {

struct CurvePoint {
  double flops = 0;  // above 0, never falling along a curve
  double loss = 0;
};
using Curve = std::vector<CurvePoint>;

/// At each point the mean loss of those with FLOPs in (flops / ratio, flops]; ratio above 1. The
/// mean lags by a factor of compute that is the same everywhere, so multipliers do not see it.
Curve trailing_mean(std::span<const CurvePoint> curve, double ratio);

/// FLOPs at which the curve is first at or below a loss; absent where it never is, or is from its
/// first point on (what came before that was not seen).
std::optional<double> flops_to_reach(std::span<const CurvePoint> curve, double loss);

/// FLOPs of B over FLOPs of A: above 1 where A needs less compute.
struct Multiplier {
  double value = 0;
  std::optional<stats::Interval> interval;
};

struct MultiplierAt {
  double loss = 0;
  double flops_a = 0, flops_b = 0;
  Multiplier multiplier;
};

struct ComputeMultiplier {
  std::vector<MultiplierAt> levels;  // from the highest loss down; the last is the final one
  Multiplier median;                 // over the levels
};

struct MultiplierOptions {
  int n_levels = 9;
  /// Curve i of A and curve i of B are of one seed: seeds are drawn in pairs.
  bool paired = false;
  double interval_level = 0.95;
  int n_resamples = 2000;
};

/// A and B: a curve for each seed, at least one. Where both have two or more, intervals are
/// percentiles of a bootstrap over the seeds; with few seeds they are too narrow. Absent when no
/// loss was reached, from above, by every curve.
std::optional<ComputeMultiplier> compute_multiplier(std::span<const Curve> a,
                                                    std::span<const Curve> b,
                                                    const MultiplierOptions& options,
                                                    const base::Rng& rng);

}  // namespace belay::forecast
