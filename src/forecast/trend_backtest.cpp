#include "forecast/trend_backtest.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace belay::forecast {
namespace {

/// At most n of the indices below `count`, evenly spread, the last one among them.
std::vector<std::size_t> evenly(std::size_t count, std::size_t n) {
  std::vector<std::size_t> chosen;
  const std::size_t m = std::min(count, n);
  for (std::size_t i = 1; i <= m; ++i) chosen.push_back(i * count / m - 1);
  return chosen;
}

/// The standard normal value with so much below it, by bisection; p in (0, 1).
double normal_quantile(double p) {
  double low = -9, high = 9;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::numbers::sqrt2) / 2 < p ? low : high) = middle;
  }
  return low;
}

double spread_of(std::span<const BacktestRow> rows, int n_draws) {
  double sum = 0;
  for (const BacktestRow& row : rows) {
    const double edge = 0.5 / n_draws;  // beyond all draws is no more than that
    const double z = normal_quantile(std::clamp(row.score.below, edge, 1 - edge));
    sum += z * z;
  }
  return std::sqrt(sum / static_cast<double>(rows.size()));
}

stats::Draws logarithms(const stats::Draws& values) {
  std::vector<double> logs;
  for (const double v : values.sorted()) logs.push_back(std::log(v));
  return stats::Draws(std::move(logs));
}

/// Where an origin may lie: the last of the points that share an x.
std::vector<std::size_t> origins_of(std::span<const Point> points,
                                    const TrendBacktestOptions& options) {
  std::vector<std::size_t> ends;  // the number of points up to the origin
  for (std::size_t n = options.least_points; n < points.size(); ++n) {
    if (points[n].x > points[n - 1].x) ends.push_back(n);
  }
  std::vector<std::size_t> chosen;
  for (const std::size_t i : evenly(ends.size(), options.most_origins)) chosen.push_back(ends[i]);
  return chosen;
}

}  // namespace

std::map<std::string, double> baselines_at(std::span<const Point> points, double x,
                                           bool of_logarithms, std::optional<double> ceiling) {
  const auto n = static_cast<double>(points.size());
  double mean_x = 0, mean_y = 0, squares = 0, products = 0, lowest = points[0].y;
  for (const Point& p : points) {
    mean_x += p.x / n;
    mean_y += p.y / n;
    lowest = std::min(lowest, p.y);
  }
  for (const Point& p : points) {
    squares += (p.x - mean_x) * (p.x - mean_x);
    products += (p.x - mean_x) * (p.y - mean_y);
  }
  double line = squares > 0 ? mean_y + products / squares * (x - mean_x) : mean_y;
  if (of_logarithms) line = std::max(line, lowest);
  if (ceiling) line = std::clamp(line, 0.0, *ceiling);
  return {{"no change", points.back().y}, {"straight line", line}};
}

std::optional<TrendBacktest> backtest(std::span<const Point> points, const Shape& shape,
                                      const TrendBacktestOptions& options) {
  TrendBacktest result;
  result.of_logarithms = shape.form != TrendForm::kLinear && !shape.ceiling;
  for (const std::size_t n : origins_of(points, options)) {
    const auto past = points.first(n);
    const double origin = past.back().x;
    const auto end = std::find_if(points.begin() + static_cast<std::ptrdiff_t>(n), points.end(),
                                  [&](const Point& p) { return p.x > origin + options.horizon; });
    const auto later = points.subspan(n, static_cast<std::size_t>(end - points.begin()) - n);
    const auto fit = TrendFit::fit(past, shape, {.n_draws = options.n_draws, .seed = options.seed});
    if (later.empty() || !fit.ok()) continue;
    ++result.n_origins;
    for (const std::size_t i : evenly(later.size(), options.most_targets)) {
      const Point& target = later[i];
      const stats::Draws values = fit->value_at(target.x);
      auto baselines = baselines_at(past, target.x, result.of_logarithms, shape.ceiling);
      double outcome = target.y;
      if (result.of_logarithms) {
        outcome = std::log(outcome);
        for (auto& [name, value] : baselines) value = std::log(value);
      }
      result.rows.push_back(
          {origin, target.x,
           score(result.of_logarithms ? logarithms(values) : values, outcome, baselines)});
    }
  }
  if (result.rows.empty()) return std::nullopt;
  std::vector<ScoreRow> rows;
  for (const BacktestRow& row : result.rows) rows.push_back(row.score);
  result.scores = summarize(rows, static_cast<double>(result.n_origins));
  result.spread = spread_of(result.rows, options.n_draws);
  return result;
}

}  // namespace belay::forecast
