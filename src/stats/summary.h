// Summaries of a sample: order statistics, and an interval of the median by the bootstrap (Efron,
// 1979; percentile method). Pure functions: equal arguments give equal results, random draws
// included. A sample holds at least one value, and no NaN.
#pragma once

#include <span>

#include "base/rng.h"

namespace belay::stats {

/// The q-quantile, q in [0, 1], linear between order statistics (Hyndman, Fan, 1996, type 7).
double quantile(std::span<const double> values, double q);

/// quantile(values, 0.5): the mean of the two middle values where their number is even.
double median(std::span<const double> values);

struct Interval {
  double low = 0, high = 0;
};

/// Where the median of the population lies with probability `level`: the middle part of the medians
/// of n_resamples samples of equal size, drawn with replacement by rng. Costs
/// n_resamples * values.size().
Interval median_interval(std::span<const double> values, double level, const base::Rng& rng,
                         int n_resamples = 2000);

}  // namespace belay::stats
