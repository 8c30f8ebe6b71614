// The forecast of a series: its form chosen by a back-test, intervals widened where the back-test
// says that they were too narrow, and what follows: growth, dates of levels, values at a date, and
// the chance that growth stops. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "forecast/trend_backtest.h"
#include "forecast/trend_fit.h"

namespace belay::forecast {

/// A quantity with its uncertainty; values may be infinite (a date that never comes).
struct Spread {
  double median = 0;
  std::array<stats::Interval, 3> intervals;  // kLevels
};
/// At least one value, none NaN.
Spread spread_of(std::vector<double> values);

/// When growth stops, which a fit to growing points cannot know: a prior. The rate of stopping has
/// a Gamma distribution with this shape and `years` as its rate, so that growth survives h more
/// years with the chance (years / (years + h)) ^ shape (Lomax). Shape 1 and the age of the trend is
/// Gott's rule, "Implications of the Copernican principle for our future prospects", Nature 1993:
/// what has lasted s years lasts another s with even chances.
struct StopPrior {
  double shape = 1, years = 0;

  double chance_within(double h) const;
  /// Years from now until it stops, at quantile q in [0, 1).
  double quantile(double q) const;
};

struct TrendOptions {
  std::optional<TrendForm> form = {};  // none: chosen
  std::optional<double> ceiling = {};  // of the values: only logistic curves have one
  bool by_date = true;                 // else x is a logarithm, and only the power law is tried
  bool linear = false;                 // values are on a scale without factors (abilities)
  double horizon = 3;                  // years, of the chance to stop and the back-test's targets
  double stop_shape = 1, stop_years = 0;  // StopPrior; 0: the age of the trend
  bool calibrate = true;                  // widen the intervals as the back-test asks
  std::uint64_t seed = 0;
};

/// "logistic with ceiling 100" and the like.
std::string shape_name(const Shape& shape);

/// A form that was tried.
struct Candidate {
  Shape shape;
  std::optional<TrendBacktest> test;
  std::string fault;  // why it cannot be fitted
};

struct Trend {
  std::vector<Candidate> candidates;
  std::size_t chosen = 0;  // among candidates
  std::string why;         // it was chosen
  double widened = 1;      // factor on the intervals
  TrendFit fit;
  StopPrior stop;

  const TrendBacktest* test() const;  // of the chosen form; null where there are too few points
  /// Growth as the form has it: the time in which y doubles (the odds of a logistic curve do),
  /// infinite where it does not grow; negative slopes give the halving time (see shrinks).
  Spread doubling() const;
  bool shrinks() const { return fit.best_slope() < 0; }
  /// The slope in x itself: the exponent of a power law, units a year of a linear trend.
  Spread slope() const { return spread_of(fit.slopes()); }
  Spread reach(double level) const { return spread_of(fit.reach(level)); }
  /// The chance that the level is reached by x; and when growth may stop before.
  double chance_by(double level, double x) const;
  double chance_by_with_stop(double level, double x) const;
  /// The value at x, when growth may stop on the way.
  stats::Draws value_at_with_stop(double x) const;

 private:
  std::vector<double> stops() const;  // the place of the stop, one a draw
};

/// points in order of x.
base::Result<Trend> fit_trend(std::span<const Point> points, const TrendOptions& options);

}  // namespace belay::forecast
