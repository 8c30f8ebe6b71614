// A predictive distribution as a sample from it (bootstrap fits, simulated outcomes), and how well
// it met what came: interval coverage and the continuous ranked probability score. Gneiting,
// Raftery, "Strictly proper scoring rules, prediction, and estimation", JASA 2007.
#pragma once

#include <span>
#include <vector>

#include "stats/summary.h"

namespace belay::stats {

class Draws {
 public:
  /// At least one value, all finite; they are sorted.
  explicit Draws(std::vector<double> values);

  std::span<const double> sorted() const { return values_; }
  /// Linear between order statistics (type 7); q in [0, 1].
  double quantile(double q) const;
  double median() const { return quantile(0.5); }
  /// The middle part that holds `level` of the distribution; level in (0, 1).
  Interval interval(double level) const;
  /// E|X - y| - E|X - X'| / 2 in the unit of the values; 0 is perfect. A single draw has |x - y|.
  double crps(double outcome) const;

 private:
  std::vector<double> values_;
};

/// One distribution out of two predictions of the same number whose errors have other origins: the
/// mean of both, each weighted by the inverse of its variance (that of a normal distribution with
/// its 80 % interval). Where they lie further apart than their deviations say, their spread is
/// widened by that factor (Birge, "The calculation of errors by the method of least squares",
/// 1932).
struct Combined {
  Draws draws;
  double weight = 0.5;  // of the first, in [0, 1]
};
Combined combine(const Draws& a, const Draws& b);

}  // namespace belay::stats
