#include "forecast/loss_intervals.h"

#include <cmath>

#include "forecast/loss_search.h"
#include "stats/minimize.h"

namespace belay::forecast {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"E", "A", "B", "alpha", "beta"};

double value_of(const LossLaw& law, std::size_t k) {
  return std::array{law.E, law.A, law.B, law.alpha, law.beta}[k];
}

/// The quantile of Student's t for the middle 95 % by its expansion in 1 / freedom (Abramowitz,
/// Stegun, 26.7.5); within 1 % from three degrees on.
double student(double z, double freedom) {
  const double z3 = z * z * z, z5 = z3 * z * z;
  return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
         (3 * z5 * z * z + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

/// The normal deviate of a two-sided level, by bisection.
double normal_deviate(double level) {
  double low = 0, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (std::erf(middle / std::sqrt(2.0)) < level ? low : high) = middle;
  }
  return low;
}

struct End {
  double at = 0;
  bool at_bound = false;
};

/// Where, from the minimum on in a direction of variable k, the objective's minimum over the others
/// has risen by `rise`.
End profile_end(const LossObjective& objective, const Found& best, std::size_t k, int direction,
                double rise) {
  const stats::Objective f = [&](std::span<const double> x, std::span<double> gradient) {
    return objective(x, gradient);
  };
  constexpr stats::MinimizeOptions kTolerance{.relative_tolerance = 1e-9};
  std::vector<double> low = objective.low(), high = objective.high(), x = best.x;
  // A second start, with E in the middle: where it is nearly 0 it has little slope.
  std::vector<double> other = best.x;
  other[0] = high[0] - std::log(2.0);
  const double bound = direction < 0 ? low[k] : high[k];
  const auto risen = [&](double at) {
    low[k] = high[k] = x[k] = at;
    other[k] = at;
    const stats::Minimum near = stats::minimize(f, x, low, high, kTolerance);
    x = near.x;
    if (near.value <= best.value + rise) return false;
    const stats::Minimum far = stats::minimize(f, other, low, high, kTolerance);
    if (far.value < near.value) x = far.x;
    return far.value > best.value + rise;
  };
  double inside = best.x[k], step = 0.01;
  double outside = inside + direction * step;
  while ((bound - outside) * direction > 0 && !risen(outside)) {
    inside = outside;
    outside += direction * (step *= 2);
  }
  if ((bound - outside) * direction <= 0) {
    if (!risen(bound)) return {bound, true};
    outside = bound;
  }
  for (int i = 0; i < 10; ++i) {
    const double middle = 0.5 * (inside + outside);
    (risen(middle) ? outside : inside) = middle;
  }
  return {inside, false};
}

}  // namespace

LossIntervals loss_intervals(base::ThreadPool& threads, const LossFit& fit, double level) {
  BELAY_CHECK(!fit.resampled.empty(), "intervals need resamples");
  const std::vector<LossRow> rows = rows_of(fit.points);
  const std::vector<double> weights = weights_of(fit.points, fit.options.compute_weight);
  LossObjective objective(rows, weights, fit.form == LossForm::kRepeats, fit.options.huber, 0);
  objective.take_from_zero();  // log A and log B are variables
  const std::vector<double> from = objective.from_law(fit.law);
  const Found best = search(objective, 6, std::span(&from, 1));
  const double freedom =
      std::max(3.0, static_cast<double>(rows.size()) - static_cast<double>(objective.size()));
  const double deviate = student(normal_deviate(level), freedom);
  const double rise = 0.5 * deviate * deviate *
                      likelihood_unit(best.residuals, fit.options.huber, objective.size());
  std::array<std::array<End, 2>, 5> ends;
  threads.parallel(10, [&](std::int64_t chunk, int) {
    const auto k = static_cast<std::size_t>(chunk / 2), side = static_cast<std::size_t>(chunk % 2);
    ends[k][side] = profile_end(objective, best, k, side == 0 ? -1 : 1, rise);
  });
  LossIntervals all;
  const auto spread = [&](auto value) {
    std::vector<double> values;
    for (const LossLaw& law : fit.resampled) values.push_back(value(law));
    return stats::Interval{stats::quantile(values, (1 - level) / 2),
                           stats::quantile(values, (1 + level) / 2)};
  };
  for (std::size_t k = 0; k < 5; ++k) {
    const auto plain = [&](double x) { return k < 3 ? std::exp(x) : x; };
    all.parameters[k] = {.name = kNames[k],
                         .value = value_of(fit.law, k),
                         .resampled = spread([&](const LossLaw& law) { return value_of(law, k); }),
                         .profile = {plain(ends[k][0].at), plain(ends[k][1].at)},
                         .identified = !ends[k][0].at_bound && !ends[k][1].at_bound};
  }
  // A and B mean nothing without their exponents.
  all.parameters[1].identified &= all.parameters[3].identified;
  all.parameters[2].identified &= all.parameters[4].identified;
  all.params_exponent = fit.law.params_exponent();
  all.params_exponent_interval = spread([](const LossLaw& law) { return law.params_exponent(); });
  if (fit.law.r_star) {
    all.r_star = spread([](const LossLaw& law) { return law.r_star.value_or(0); });
  }
  return all;
}

}  // namespace belay::forecast
