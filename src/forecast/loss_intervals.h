// How well the points pin down the numbers of a fitted loss law: percentiles of its resamples, and
// the profile of the likelihood, the others fitted anew at each value (without the prior). A number
// whose profile runs into the bounds of the fit is not identified by the points, whatever the
// resamples say.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "base/threads.h"
#include "forecast/loss_law.h"
#include "stats/summary.h"

namespace belay::forecast {

struct ParameterInterval {
  std::string_view name;
  double value = 0;
  stats::Interval resampled, profile;
  bool identified = true;
};

struct LossIntervals {
  std::array<ParameterInterval, 5> parameters;  // E, A, B, alpha, beta
  double params_exponent = 0;                   // a; b = 1 - a
  stats::Interval params_exponent_interval;     // of the resamples
  std::optional<stats::Interval> r_star;        // of the resamples
};

/// At `level`, in (0, 1). The fit needs resamples.
LossIntervals loss_intervals(base::ThreadPool& threads, const LossFit& fit, double level = 0.95);

}  // namespace belay::forecast
