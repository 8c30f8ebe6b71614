#include "forecast/item_response.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/status.h"
#include "stats/minimize.h"

namespace belay::forecast {
namespace {

constexpr double kPull = 1e-3, kSlopePull = 1e-2;
constexpr double kMostLogSlope = 3;

double logistic(double z) { return 1 / (1 + std::exp(-z)); }

/// Mean scores of benchmarks, and mean deviations from them of models.
struct Means {
  std::vector<double> benchmark, model;
  std::vector<int> n_benchmark, n_model;
};

Means means_of(std::span<const ItemScore> scores, std::size_t n_models, std::size_t n_benchmarks) {
  Means m{std::vector<double>(n_benchmarks), std::vector<double>(n_models),
          std::vector<int>(n_benchmarks), std::vector<int>(n_models)};
  for (const ItemScore& s : scores) {
    m.benchmark[s.benchmark] += s.score;
    ++m.n_benchmark[s.benchmark];
  }
  for (std::size_t b = 0; b < n_benchmarks; ++b) m.benchmark[b] /= std::max(1, m.n_benchmark[b]);
  for (const ItemScore& s : scores) {
    m.model[s.model] += s.score - m.benchmark[s.benchmark];
    ++m.n_model[s.model];
  }
  for (std::size_t i = 0; i < n_models; ++i) m.model[i] /= std::max(1, m.n_model[i]);
  return m;
}

}  // namespace

double ItemFit::score_of(std::size_t benchmark, double of_ability) const {
  return logistic(slope[benchmark] * (of_ability - difficulty[benchmark]));
}

double ItemFit::expected(std::size_t model, std::size_t benchmark) const {
  return score_of(benchmark, ability[model]);
}

double ItemFit::ability_for(std::size_t benchmark, double score) const {
  BELAY_CHECK(score > 0 && score < 1, "a score inside (0, 1)");
  return difficulty[benchmark] + std::log(score / (1 - score)) / slope[benchmark];
}

ItemFit fit_items(std::span<const ItemScore> scores, std::size_t n_models,
                  std::size_t n_benchmarks) {
  BELAY_CHECK(!scores.empty(), "scores to fit");
  // x: abilities, difficulties, log slopes
  const std::size_t first_d = n_models, first_s = n_models + n_benchmarks;
  const auto objective = [&](std::span<const double> x, std::span<double> gradient) {
    double sum = 0;
    std::fill(gradient.begin(), gradient.end(), 0.0);
    for (const ItemScore& s : scores) {
      const double slope = std::exp(x[first_s + s.benchmark]);
      const double gap = x[s.model] - x[first_d + s.benchmark];
      const double p = logistic(slope * gap), rest = p - s.score;
      sum += rest * rest;
      if (gradient.empty()) continue;
      const double dz = 2 * rest * p * (1 - p);
      gradient[s.model] += dz * slope;
      gradient[first_d + s.benchmark] -= dz * slope;
      gradient[first_s + s.benchmark] += dz * slope * gap;
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double pull = i < first_s ? kPull : kSlopePull;
      sum += pull * x[i] * x[i];
      if (!gradient.empty()) gradient[i] += 2 * pull * x[i];
    }
    return sum;
  };
  const Means means = means_of(scores, n_models, n_benchmarks);
  std::vector<double> start(n_models + 2 * n_benchmarks), low(start.size(), -30.0),
      high(start.size(), 30.0);
  for (std::size_t i = 0; i < n_models; ++i) start[i] = 4 * means.model[i];
  for (std::size_t b = 0; b < n_benchmarks; ++b) {
    const double mean = std::clamp(means.benchmark[b], 0.02, 0.98);
    start[first_d + b] = -std::log(mean / (1 - mean));
    low[first_s + b] = -kMostLogSlope;
    high[first_s + b] = kMostLogSlope;
  }
  const stats::Minimum best = stats::minimize(
      objective, start, low, high, {.relative_tolerance = 1e-9, .max_evaluations = 3000});
  ItemFit fit;
  const auto at = [&](std::size_t i) { return best.x.begin() + static_cast<std::ptrdiff_t>(i); };
  fit.ability.assign(at(0), at(first_d));
  fit.difficulty.assign(at(first_d), at(first_s));
  for (std::size_t b = 0; b < n_benchmarks; ++b) fit.slope.push_back(std::exp(best.x[first_s + b]));
  double squares = 0;
  for (const ItemScore& s : scores) {
    const double rest = fit.expected(s.model, s.benchmark) - s.score;
    squares += rest * rest;
  }
  fit.error = std::sqrt(squares / static_cast<double>(scores.size()));
  return fit;
}

ItemHoldOut hold_out(std::span<const ItemScore> scores, std::size_t n_models,
                     std::size_t n_benchmarks, double share, std::uint64_t seed) {
  const base::Rng rng(seed, base::Purpose::kFit);
  std::vector<ItemScore> kept, out;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    (rng.uniform53(i) < share ? out : kept).push_back(scores[i]);
  }
  ItemHoldOut result;
  if (kept.empty()) return result;
  const ItemFit fit = fit_items(kept, n_models, n_benchmarks);
  const Means means = means_of(kept, n_models, n_benchmarks);
  double ours = 0, benchmark = 0, sum = 0;
  for (const ItemScore& s : out) {
    if (means.n_model[s.model] == 0 || means.n_benchmark[s.benchmark] == 0) continue;
    ++result.n;
    const double mean = means.benchmark[s.benchmark];
    const double both = std::clamp(mean + means.model[s.model], 0.0, 1.0);
    ours += std::pow(fit.expected(s.model, s.benchmark) - s.score, 2);
    benchmark += std::pow(mean - s.score, 2);
    sum += std::pow(both - s.score, 2);
  }
  const double n = std::max<double>(1, static_cast<double>(result.n));
  result.error = std::sqrt(ours / n);
  result.benchmark_error = std::sqrt(benchmark / n);
  result.sum_error = std::sqrt(sum / n);
  return result;
}

}  // namespace belay::forecast
