// The search under a fit of a loss law: from points to rows, the best law of an objective, the
// scale of its residuals. Internal to the fit, its profile and its back-test.
#pragma once

#include <span>
#include <vector>

#include "forecast/loss_law.h"
#include "forecast/loss_objective.h"

namespace belay::forecast {

std::vector<LossRow> rows_of(std::span<const LossPoint> points);

/// The weight of each point: its own times its compute to a power, 1 in the mean.
std::vector<double> weights_of(std::span<const LossPoint> points, double compute_weight);

struct Found {
  std::vector<double> x;  // in the objective's variables
  LossLaw law;
  double value = 0;
  std::vector<double> residuals;
};

/// The minimum from the objective's own starts (n_starts of them) and those in `from`.
Found search(const LossObjective& objective, std::size_t n_starts,
             std::span<const std::vector<double>> from = {}, double tolerance = 1e-12);

/// What a unit of twice the log-likelihood is worth in the objective: E psi^2 / E psi' of its
/// residuals (Huber, Ronchetti, "Robust statistics", 2009, 2.8), with degrees of freedom taken off.
double likelihood_unit(std::span<const double> residuals, double huber, std::size_t n_variables);

/// The best law of the points under a form: a first search fixes the unit of the prior.
Found best_law(std::span<const LossRow> rows, std::span<const double> weights, LossForm form,
               const LossFitOptions& options, double* unit = nullptr);

}  // namespace belay::forecast
