#include "forecast/loss_search.h"

#include <algorithm>
#include <cmath>

#include "stats/minimize.h"
#include "stats/summary.h"

namespace belay::forecast {

std::vector<LossRow> rows_of(std::span<const LossPoint> points) {
  std::vector<LossRow> rows;
  for (const LossPoint& p : points) {
    const bool repeats = p.unique_tokens > 0 && p.n_tokens > p.unique_tokens;
    rows.push_back({.log_n = std::log(p.n_params),
                    .log_d = std::log(p.n_tokens),
                    .log_loss = std::log(p.loss),
                    .log_unique = std::log(repeats ? p.unique_tokens : p.n_tokens),
                    .repeats = repeats ? p.n_tokens / p.unique_tokens - 1 : 0});
  }
  return rows;
}

std::vector<double> weights_of(std::span<const LossPoint> points, double compute_weight) {
  double most = 0, sum = 0;
  for (const LossPoint& p : points) most = std::max(most, p.flops);
  std::vector<double> weights;
  for (const LossPoint& p : points) {
    weights.push_back(p.weight * std::pow(p.flops / most, compute_weight));
    sum += weights.back();
  }
  for (double& w : weights) w *= static_cast<double>(points.size()) / sum;
  return weights;
}

Found search(const LossObjective& objective, std::size_t n_starts,
             std::span<const std::vector<double>> from, double tolerance) {
  std::vector<std::vector<double>> starts = objective.starts(n_starts);
  starts.insert(starts.end(), from.begin(), from.end());
  const std::vector<double> low = objective.low(), high = objective.high();
  const stats::Objective f = [&](std::span<const double> x, std::span<double> gradient) {
    return objective(x, gradient);
  };
  stats::Minimum best{.x = {}, .value = HUGE_VAL};
  for (const std::vector<double>& start : starts) {
    stats::Minimum found = stats::minimize(f, start, low, high, {.relative_tolerance = tolerance});
    if (found.value < best.value) best = std::move(found);
  }
  Found found{.x = best.x, .law = objective.to_law(best.x), .value = best.value, .residuals = {}};
  found.residuals = objective.residuals(best.x);
  return found;
}

double likelihood_unit(std::span<const double> residuals, double huber, std::size_t n_variables) {
  std::vector<double> sizes;
  double square = 0, inside = 0;
  for (const double r : residuals) {
    sizes.push_back(std::abs(r));
    square += std::min(sizes.back(), huber) * std::min(sizes.back(), huber);
    inside += sizes.back() <= huber ? 1 : 0;
  }
  const auto n = static_cast<double>(residuals.size());
  // Where few residuals are as small as `huber`, their share follows from the density at 0.
  const double middle = stats::median(sizes);
  const double share = middle <= huber ? inside / n : 0.5 * huber / middle;
  const double freedom = std::max(1.0, n - static_cast<double>(n_variables));
  return std::max(square / n / share * n / freedom, 1e-16);
}

Found best_law(std::span<const LossRow> rows, std::span<const double> weights, LossForm form,
               const LossFitOptions& options, double* unit) {
  constexpr std::size_t kStarts = 6;
  constexpr double kFirstUnit = 1e-3;  // times `huber`: residuals of a tenth of a percent
  const bool repeats = form == LossForm::kRepeats;
  const LossObjective first(rows, weights, repeats, options.huber, kFirstUnit * options.huber);
  const Found rough = search(first, kStarts);
  // Few points may lie on a law by chance: the prior weighs against what runs are known to differ.
  const double scale = std::max(likelihood_unit(rough.residuals, options.huber, first.size()),
                                options.scatter * options.scatter);
  if (unit != nullptr) *unit = scale;
  const LossObjective second(rows, weights, repeats, options.huber, options.prior * scale);
  return search(second, kStarts, std::span(&rough.x, 1));
}

}  // namespace belay::forecast
