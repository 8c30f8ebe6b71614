#include "forecast/isoflop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/rng.h"

namespace belay::forecast {
namespace {

using base::Result;

struct BudgetCurve {
  double log_c = 0;
  std::vector<double> x, y;  // log N, log loss; by rising N
};

struct Vertex {
  double x = 0, y = 0;
  double square = 0;  // sum of squared residuals
};

/// The lowest point of the parabola through the points; none where it has none.
std::optional<Vertex> vertex_of(const std::vector<double>& xs, const std::vector<double>& ys) {
  const auto n = static_cast<double>(xs.size());
  double middle = 0;
  for (const double x : xs) middle += x / n;
  double s[5] = {}, t[3] = {};
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const double u = xs[i] - middle;
    double power = 1;
    for (int k = 0; k < 5; ++k, power *= u) {
      s[k] += power;
      if (k < 3) t[k] += power * ys[i];
    }
  }
  // Normal equations of c0 + c1 u + c2 u^2, where the sum of u is 0.
  const double v = s[4] - s[2] * s[2] / s[0] - s[3] * s[3] / s[2];
  if (!(s[2] > 0) || !(v > 1e-12 * s[4])) return std::nullopt;
  const double c2 = (t[2] - s[2] * t[0] / s[0] - s[3] * t[1] / s[2]) / v;
  const double c1 = (t[1] - s[3] * c2) / s[2], c0 = (t[0] - s[2] * c2) / s[0];
  if (!(c2 > 0)) return std::nullopt;
  Vertex lowest{.x = middle - c1 / (2 * c2), .y = c0 - c1 * c1 / (4 * c2), .square = 0};
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const double u = xs[i] - middle, off = ys[i] - (c0 + c1 * u + c2 * u * u);
    lowest.square += off * off;
  }
  return lowest;
}

/// Budgets: from the least compute on, what is within the tolerance of a budget's first.
std::vector<std::vector<LossPoint>> budgets_of(std::span<const LossPoint> points,
                                               const IsoflopOptions& o) {
  std::vector<LossPoint> all(points.begin(), points.end());
  for (LossPoint& p : all) {
    if (p.flops == 0) p.flops = o.flops_factor * p.n_params * p.n_tokens;
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.flops < b.flops; });
  std::vector<std::vector<LossPoint>> budgets;
  for (LossPoint& p : all) {
    if (budgets.empty() || p.flops > budgets.back()[0].flops * (1 + o.tolerance))
      budgets.emplace_back();
    budgets.back().push_back(std::move(p));
  }
  return budgets;
}

/// The points around the lowest, one a size; fewer than three where it lies at an end.
BudgetCurve curve_of(std::vector<LossPoint> budget, double depth) {
  BudgetCurve curve;
  for (const LossPoint& p : budget) {
    curve.log_c += std::log(p.flops) / static_cast<double>(budget.size());
  }
  std::stable_sort(budget.begin(), budget.end(), [](const auto& a, const auto& b) {
    return a.n_params != b.n_params ? a.n_params < b.n_params : a.loss < b.loss;
  });
  budget.erase(
      std::unique(budget.begin(), budget.end(),
                  [](const auto& a, const auto& b) { return b.n_params <= 1.01 * a.n_params; }),
      budget.end());
  const auto lowest = std::min_element(
      budget.begin(), budget.end(), [](const auto& a, const auto& b) { return a.loss < b.loss; });
  if (lowest == budget.begin() || lowest + 1 == budget.end()) return curve;
  auto first = lowest - 1, last = lowest + 1;
  const double limit = lowest->loss * (1 + depth);
  while (first != budget.begin() && (first - 1)->loss <= limit) --first;
  while (last + 1 != budget.end() && (last + 1)->loss <= limit) ++last;
  for (auto p = first; p <= last; ++p) {
    curve.x.push_back(std::log(p->n_params));
    curve.y.push_back(std::log(p->loss));
  }
  return curve;
}

struct Line {
  double slope = 0, at_zero = 0;
};

std::optional<Line> line_of(const std::vector<double>& xs, const std::vector<double>& ys) {
  const auto n = static_cast<double>(xs.size());
  double mx = 0, my = 0, xx = 0, xy = 0;
  for (std::size_t i = 0; i < xs.size(); ++i) mx += xs[i] / n, my += ys[i] / n;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    xx += (xs[i] - mx) * (xs[i] - mx);
    xy += (xs[i] - mx) * (ys[i] - my);
  }
  if (!(xx > 1e-12)) return std::nullopt;
  return Line{xy / xx, my - xy / xx * mx};
}

/// Intervals of the optima and of the exponent: scatter put on each curve's points anew, its lowest
/// point found again, and the budgets drawn with replacement.
void add_intervals(Isoflop& all, const std::vector<BudgetCurve>& curves, double scatter,
                   const IsoflopOptions& o) {
  std::vector<double> exponents;
  std::vector<std::vector<double>> sizes(curves.size());
  for (int r = 0; r < o.n_resamples; ++r) {
    const base::Rng noise(o.seed, base::Purpose::kFit, static_cast<std::uint64_t>(r));
    const base::Rng draw(o.seed, base::Purpose::kBootstrap, static_cast<std::uint64_t>(r));
    std::vector<std::optional<double>> found(curves.size());
    std::uint64_t i = 0;
    for (std::size_t c = 0; c < curves.size(); ++c) {
      std::vector<double> y = curves[c].y;
      for (double& v : y) v += scatter * static_cast<double>(noise.normal(i++));
      const auto vertex = vertex_of(curves[c].x, y);
      if (!vertex || vertex->x < curves[c].x.front() || vertex->x > curves[c].x.back()) continue;
      found[c] = vertex->x;
      sizes[c].push_back(vertex->x);
    }
    std::vector<double> x, y;
    for (std::size_t k = 0; k < curves.size(); ++k) {
      const std::size_t c = draw.below(k, curves.size());
      if (found[c]) x.push_back(curves[c].log_c), y.push_back(*found[c]);
    }
    if (x.size() < 2) continue;
    if (const auto line = line_of(x, y)) exponents.push_back(line->slope);
  }
  const auto interval = [&](std::vector<double>& values) {
    return stats::Interval{stats::quantile(values, (1 - o.level) / 2),
                           stats::quantile(values, (1 + o.level) / 2)};
  };
  if (!exponents.empty()) all.params_interval = interval(exponents);
  for (std::size_t c = 0; c < curves.size(); ++c) {
    if (sizes[c].empty()) continue;
    const stats::Interval logs = interval(sizes[c]);
    all.optima[c].params_interval = {std::exp(logs.low), std::exp(logs.high)};
  }
}

}  // namespace

Result<Isoflop> fit_isoflop(std::span<const LossPoint> points, const IsoflopOptions& options) {
  Isoflop all;
  std::vector<BudgetCurve> curves;
  double square = 0, freedom = 0;
  for (auto& budget : budgets_of(points, options)) {
    const std::string name = fmt::format("{:.3g} FLOPs", budget[0].flops);
    const std::size_t n = budget.size();
    if (n < 4) continue;
    BudgetCurve curve = curve_of(std::move(budget), options.depth);
    if (curve.x.size() < 3) {
      all.left_out.push_back(name + ": the lowest loss is that of the smallest or largest model");
      continue;
    }
    const auto vertex = vertex_of(curve.x, curve.y);
    if (!vertex || vertex->x < curve.x.front() || vertex->x > curve.x.back()) {
      all.left_out.push_back(name + ": the parabola has no lowest point among the models");
      continue;
    }
    square += vertex->square;
    freedom += static_cast<double>(curve.x.size() - 3);
    const double flops = std::exp(curve.log_c), n_params = std::exp(vertex->x);
    all.optima.push_back({.flops = flops,
                          .n_points = curve.x.size(),
                          .n_params = n_params,
                          .n_tokens = flops / options.flops_factor / n_params,
                          .loss = std::exp(vertex->y),
                          .params_interval = {n_params, n_params}});
    curves.push_back(std::move(curve));
  }
  std::vector<double> x, y;
  for (const IsoflopOptimum& o : all.optima)
    x.push_back(std::log(o.flops)), y.push_back(std::log(o.n_params));
  const auto line = all.optima.size() < 3 ? std::nullopt : line_of(x, y);
  if (!line) {
    return base::invalid_argument({.where = "isoflop",
                                   .what = "too few budgets have a best size among their models",
                                   .seen = std::to_string(all.optima.size()),
                                   .allowed = "3 or more",
                                   .next = "train several sizes at each of three budgets"});
  }
  all.params_exponent = line->slope;
  all.log_coefficient = line->at_zero;
  constexpr double kUsualScatter = 0.003;  // where each parabola goes through all its points
  add_intervals(all, curves, freedom > 0 ? std::sqrt(square / freedom) : kUsualScatter, options);
  return all;
}

}  // namespace belay::forecast
