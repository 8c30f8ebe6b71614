// What a fit of a loss law minimizes: the sum over points of the Huber loss of log residuals, the
// law written as a log-sum-exp (Hoffmann et al., 2022, approach 3; the sum, with tight tolerances:
// Besiroglu et al., "Chinchilla scaling: a replication attempt", 2024), plus a weak prior on the
// exponents. Variables: log E, log A and log B at the middle of the points (which takes most of
// their correlation with the exponents away), alpha, beta, and log R* where tokens repeat.
#pragma once

#include <span>
#include <vector>

#include "forecast/loss_law.h"

namespace belay::forecast {

inline constexpr double kLeastExponent = 0.05, kMostExponent = 1.5;
// E is at least this part of the lowest loss: as good as 0, and a log of it still has a slope.
inline constexpr double kLeastShare = 0.02;
inline constexpr double kLeastRepeat = 0.1, kMostRepeat = 1000;

/// A point as the fit wants it.
struct LossRow {
  double log_n = 0, log_d = 0, log_loss = 0;
  double log_unique = 0;  // of the unique tokens
  double repeats = 0;     // R: how often a token is seen after the first time
};

class LossObjective {
 public:
  /// weights: one a row, kept by reference like the rows. prior: in units of the objective.
  LossObjective(std::span<const LossRow> rows, std::span<const double> weights, bool with_repeats,
                double huber, double prior);

  /// Puts log A and log B where log N and log D are 0, so that they are variables of their own.
  void take_from_zero() { mid_n_ = mid_d_ = 0; }

  std::size_t size() const { return with_repeats_ ? 6 : 5; }
  /// The value at x, and the gradient where it is asked for.
  double operator()(std::span<const double> x, std::span<double> gradient) const;
  /// log loss - log of the law, a row each.
  std::vector<double> residuals(std::span<const double> x) const;

  std::vector<double> low() const, high() const;
  std::vector<double> from_law(const LossLaw& law) const;
  LossLaw to_law(std::span<const double> x) const;

  /// Where to start: for each pair of exponents of a grid (and R*) the other three follow from
  /// linear least squares; the best `n` by the objective, best first.
  std::vector<std::vector<double>> starts(std::size_t n) const;

 private:
  std::vector<double> start_at(double alpha, double beta, double r_star) const;
  double log_effective(const LossRow& row, double r_star, double* slope) const;

  std::span<const LossRow> rows_;
  std::span<const double> weights_;
  bool with_repeats_;
  double huber_, prior_;
  double mean_n_ = 0, mean_d_ = 0, least_ = 0;  // of log N and log D; the least log loss
  double mid_n_ = 0, mid_d_ = 0;                // where log A and log B are taken
};

}  // namespace belay::forecast
