// How good predictions were: distributions beside what came and beside forecasts that need no
// thought. Coverage of intervals says whether they are honest, the continuous ranked probability
// score (CRPS, in the unit of the values) also whether they are sharp; for a point forecast it is
// the absolute error. Baselines here are points. That favours a distribution a little, so medians
// are compared with them too, and a forecast that loses by either measure has lost. Pure functions.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "stats/draws.h"

namespace belay::forecast {

inline constexpr std::array<double, 3> kLevels = {0.5, 0.8, 0.95};

/// The values at 0.01, 0.02, ..., 0.99: how a register keeps a distribution.
std::vector<double> percentiles(const stats::Draws& prediction);

/// A distribution from its 99 percentiles: linear between them, the outer slopes carried on beyond.
stats::Draws from_percentiles(std::span<const double> values);

/// One prediction and what came of it.
struct ScoreRow {
  double median = 0, outcome = 0, crps = 0;
  double below = 0;                          // the share of the prediction below the outcome
  std::array<stats::Interval, 3> intervals;  // kLevels
  std::map<std::string, double> baselines;   // what they predicted

  double error() const;  // |median - outcome|
  bool inside(std::size_t level) const;
};

ScoreRow score(const stats::Draws& prediction, double outcome,
               std::map<std::string, double> baselines);

struct Coverage {
  double level = 0, share = 0;
  stats::Interval interval;  // of the share, 95 % (Wilson)
};

struct BaselineScore {
  std::string name;
  double error = 0;         // mean absolute error, which is its CRPS
  double skill = 0;         // 1 - crps / error
  double median_skill = 0;  // 1 - median_error / error
  bool wins = false;        // either skill is below 0
};

struct Scores {
  std::size_t n = 0;
  double independent = 0;  // rows that count as independent in the intervals of coverage
  std::array<Coverage, 3> coverage;
  double crps = 0, median_error = 0;     // means
  std::vector<BaselineScore> baselines;  // those that every row has
  /// The baselines that win; empty is well.
  std::vector<std::string> lost_to() const;
};

/// At least one row. independent: at most the number of rows; 0 means all.
Scores summarize(std::span<const ScoreRow> rows, double independent = 0);

}  // namespace belay::forecast
