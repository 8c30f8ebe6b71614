// A form of trend tried on the past: from each of many earlier dates (origins) the curve is fitted
// to the points up to it alone, and the later points are predicted. Scores of series that grow by
// factors are of ln y, so that late, large values do not decide alone; those of bounded or linear
// series are of y. Baselines: "no change" (the last value, or the best so far of a frontier) and
// "straight line" (least squares in y and x, not below the lowest value so far where logarithms are
// scored). Rows of one origin hang together: in the interval of the coverage only origins count as
// independent.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "forecast/scores.h"
#include "forecast/trend_fit.h"

namespace belay::forecast {

struct TrendBacktestOptions {
  std::size_t least_points = 5;   // before an origin
  std::size_t most_origins = 40;  // evenly chosen where there are more
  std::size_t most_targets = 8;   // of one origin, likewise
  double horizon = HUGE_VAL;      // targets at most so far behind the origin, in units of x
  int n_draws = 1000;
  std::uint64_t seed = 0;
};

struct BacktestRow {
  double origin = 0, target = 0;  // x
  ScoreRow score;
};

struct TrendBacktest {
  bool of_logarithms = false;
  std::vector<BacktestRow> rows;
  std::size_t n_origins = 0;
  Scores scores;
  /// How much wider the distributions should have been: the root mean square of the outcomes as
  /// standard normal scores; 1 is right, below 1 they were too wide.
  double spread = 1;
};

/// points in order of x. Nothing where no origin has both enough points before and any behind it.
std::optional<TrendBacktest> backtest(std::span<const Point> points, const Shape& shape,
                                      const TrendBacktestOptions& options = {});

/// What "no change" and "straight line" say of x after these points (at least two).
std::map<std::string, double> baselines_at(std::span<const Point> points, double x,
                                           bool of_logarithms, std::optional<double> ceiling);

}  // namespace belay::forecast
