// Runs of equal compute: the loss is near a parabola in log N (Hoffmann et al., 2022, approach 2),
// whose lowest point is the best size for that compute; over several budgets these follow power
// laws N_opt = G C^a and D_opt ~ C^b. Only points near the lowest are fitted: far from it the curve
// is no parabola. Least squares; intervals from scatter put on the losses anew and budgets drawn
// again.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "forecast/loss_law.h"
#include "stats/summary.h"

namespace belay::forecast {

struct IsoflopOptimum {
  double flops = 0;
  std::size_t n_points = 0;  // of the parabola
  double n_params = 0, n_tokens = 0, loss = 0;
  stats::Interval params_interval;
};

struct Isoflop {
  std::vector<IsoflopOptimum> optima;  // by rising compute
  std::vector<std::string> left_out;   // budgets without an optimum, and why
  double params_exponent = 0;          // a; b = 1 - a
  stats::Interval params_interval;     // of a
  double log_coefficient = 0;          // log G
};

struct IsoflopOptions {
  double tolerance = 0.1;  // compute within 10 % counts as equal
  double depth = 0.03;     // points with a loss up to 3 % above the lowest
  double level = 0.95;
  int n_resamples = 400;
  std::uint64_t seed = 1;
  double flops_factor = 6;
};

/// An error when fewer than three budgets have an optimum between their
/// smallest and largest model.
base::Result<Isoflop> fit_isoflop(std::span<const LossPoint> points,
                                  const IsoflopOptions& options = {});

}  // namespace belay::forecast
