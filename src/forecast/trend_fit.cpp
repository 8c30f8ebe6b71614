#include "forecast/trend_fit.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/rng.h"

namespace belay::forecast {
namespace {

using base::Result;
using base::Rng;
using base::Status;

constexpr int kGrid = 48;
constexpr double kMostLog = 690;         // e^690 is a finite double
constexpr std::uint64_t kStride = 1024;  // random numbers of one draw

/// From `low` to `high` in equal factors.
std::vector<double> equal_factors(double low, double high) {
  std::vector<double> values;
  for (int i = 0; i < kGrid; ++i) {
    values.push_back(low * std::pow(high / low, i / (kGrid - 1.0)));
  }
  return values;
}

/// Chi-squared with `freedom` degrees, from the random numbers that begin at `index`: minus twice
/// the logarithm of a uniform number has two; beyond 400, Wilson and Hilferty's cube of a normal.
double chi_squared(const Rng& rng, std::uint64_t index, std::size_t freedom) {
  const auto k = static_cast<double>(freedom);
  if (freedom > 400) {
    const double spread = 2 / (9 * k);
    const double root = 1 - spread + static_cast<double>(rng.normal(index)) * std::sqrt(spread);
    return k * root * root * root;
  }
  double product = 1;
  for (std::size_t i = 0; i < freedom / 2; ++i) product *= 1 - rng.uniform53(index + i);
  double value = -2 * std::log(product);
  if (freedom % 2 == 1) {
    const auto normal = static_cast<double>(rng.normal(index + freedom));
    value += normal * normal;
  }
  return value;
}

Status refused(std::string what, std::string seen = {}, std::string allowed = {},
               std::string next = {}) {
  return base::invalid_argument({.what = std::move(what),
                                 .seen = std::move(seen),
                                 .allowed = std::move(allowed),
                                 .next = std::move(next)});
}

Status check(std::span<const Point> points, const Shape& shape) {
  if (points.size() < kLeastPoints) {
    return refused("a trend needs more points", std::to_string(points.size()),
                   fmt::format("{} or more; below ten the intervals are very wide", kLeastPoints));
  }
  const auto [low_x, high_x] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  const auto [low, high] = std::minmax_element(
      points.begin(), points.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
  if (low_x->x == high_x->x) return refused("all points lie at one place: there is no trend");
  if (low->y == high->y) {
    return refused("all values are equal: there is no trend to fit", fmt::format("{}", low->y));
  }
  if (shape.form != TrendForm::kLinear && low->y <= 0) {
    return refused(
        fmt::format("a value has no logarithm, which the {} form needs", form_name(shape.form)),
        fmt::format("{}", low->y), "above 0", "leave such rows out, with --where");
  }
  if (shape.form == TrendForm::kLogistic && shape.ceiling && high->y >= *shape.ceiling) {
    return refused("a value is not below the ceiling of the logistic curve",
                   fmt::format("{}", high->y), fmt::format("below {}", *shape.ceiling));
  }
  return {};
}

}  // namespace

std::string_view form_name(TrendForm form) {
  constexpr std::array<std::string_view, 4> kNames = {"linear", "exponential", "logistic",
                                                      "hyperbolic"};
  return kNames.at(static_cast<std::size_t>(form));
}

double TrendFit::to_z(const Line& line, double y) const {
  if (shape_.form == TrendForm::kLinear) return y;
  if (shape_.form == TrendForm::kLogistic) return std::log(y) - std::log(line.fourth - y);
  return std::log(y);
}

double TrendFit::from_z(const Line& line, double z) const {
  if (shape_.form == TrendForm::kLinear) return std::clamp(z, -1e300, 1e300);
  const double bounded = std::clamp(z, -kMostLog, kMostLog);
  if (shape_.form == TrendForm::kLogistic) return line.fourth / (1 + std::exp(-bounded));
  return std::exp(bounded);
}

double TrendFit::to_u(const Line& line, double x) const {
  if (shape_.form != TrendForm::kHyperbolic) return x;
  const double r = line.fourth - last_x_;
  return x < line.fourth ? -r * std::log((line.fourth - x) / r) : HUGE_VAL;
}

double TrendFit::from_u(const Line& line, double u) const {
  if (shape_.form != TrendForm::kHyperbolic) return u;
  const double r = line.fourth - last_x_;
  return line.fourth - r * std::exp(-u / r);
}

std::vector<double> TrendFit::grid(std::span<const Point> points) const {
  std::vector<double> values;
  if (shape_.form == TrendForm::kLogistic && shape_.lower) {
    const double room = *shape_.ceiling - highest_;
    for (const double f : equal_factors(0.02, 1)) values.push_back(highest_ + f * room);
  } else if (shape_.form == TrendForm::kLogistic && !shape_.ceiling) {
    for (const double f : equal_factors(0.02, 1000)) values.push_back(highest_ * (1 + f));
  } else if (shape_.form == TrendForm::kHyperbolic) {
    const double span = last_x_ - points.front().x;
    for (const double f : equal_factors(0.02, 20)) values.push_back(last_x_ + f * span);
  } else {
    values.push_back(shape_.ceiling.value_or(0));
  }
  return values;
}

TrendFit::Line TrendFit::line_at(std::span<const Point> points, double fourth) const {
  Line line;
  line.fourth = fourth;
  const auto n = static_cast<double>(points.size());
  double log_stretch = 0;  // sum of ln dz / d ln y, where it depends on the fourth parameter
  for (const Point& p : points) {
    line.mean_u += to_u(line, p.x) / n;
    line.mean_z += to_z(line, p.y) / n;
    if (shape_.form == TrendForm::kLogistic) log_stretch -= std::log1p(-p.y / fourth);
  }
  double products = 0;
  for (const Point& p : points) {
    const double u = to_u(line, p.x) - line.mean_u, z = to_z(line, p.y) - line.mean_z;
    line.u_squares += u * u;
    line.z_squares += z * z;
    products += u * z;
  }
  line.slope = products / line.u_squares;
  for (const Point& p : points) {
    const double rest =
        to_z(line, p.y) - line.mean_z - line.slope * (to_u(line, p.x) - line.mean_u);
    line.residual_squares += rest * rest;
  }
  // Rounding is the least error that there is: a perfect fit keeps a weight and a logarithm.
  line.residual_squares = std::max(line.residual_squares, 1e-24 * (1 + line.z_squares));
  line.log_weight = log_stretch - 0.5 * std::log(line.u_squares) -
                    0.5 * (n - 2) * std::log(line.residual_squares);
  return line;
}

void TrendFit::draw(const TrendFitOptions& options) {
  std::vector<double> up_to;  // cumulative weights
  double sum = 0;
  for (const Line& line : lines_) {
    // Points with errors so many times larger say that much less of the fourth parameter too.
    sum += std::exp((line.log_weight - lines_[best_].log_weight) / (options.widen * options.widen));
    up_to.push_back(sum);
  }
  const std::size_t freedom = n_points_ - 2;
  const Rng rng(options.seed, base::Purpose::kFit), spreads(options.seed, base::Purpose::kFit, 1);
  for (int i = 0; i < options.n_draws; ++i) {
    const auto at = static_cast<std::uint64_t>(i) * kStride;
    // Strata instead of chance: each line has its share of draws, up to one.
    const double place = (i + 0.5) / options.n_draws * sum;
    const auto found = std::lower_bound(up_to.begin(), up_to.end(), place);
    const auto index = std::min(static_cast<std::size_t>(found - up_to.begin()), up_to.size() - 1);
    const Line& line = lines_[index];
    const double sigma =
        options.widen * std::sqrt(line.residual_squares / chi_squared(spreads, at, freedom));
    const auto normal = [&](std::uint64_t k) { return static_cast<double>(rng.normal(at + k)); };
    draws_.push_back(
        {index, line.mean_z + sigma * normal(0) / std::sqrt(static_cast<double>(n_points_)),
         line.slope + sigma * normal(1) / std::sqrt(line.u_squares), sigma * normal(2)});
  }
}

Result<TrendFit> TrendFit::fit(std::span<const Point> points, const Shape& shape,
                               const TrendFitOptions& options) {
  BELAY_RETURN_IF_ERROR(check(points, shape));
  BELAY_CHECK(std::is_sorted(points.begin(), points.end(),
                             [](const Point& a, const Point& b) { return a.x < b.x; }),
              "points in order");
  TrendFit fit;
  fit.shape_ = shape;
  fit.n_points_ = points.size();
  fit.last_x_ = points.back().x;
  fit.highest_ = points.front().y;
  for (const Point& p : points) fit.highest_ = std::max(fit.highest_, p.y);
  for (const double fourth : fit.grid(points)) fit.lines_.push_back(fit.line_at(points, fourth));
  const auto best =
      std::max_element(fit.lines_.begin(), fit.lines_.end(),
                       [](const Line& a, const Line& b) { return a.log_weight < b.log_weight; });
  fit.best_ = static_cast<std::size_t>(best - fit.lines_.begin());
  fit.r_squared_ = 1 - best->residual_squares / best->z_squares;
  fit.draw(options);
  return fit;
}

stats::Draws TrendFit::value_at(double x) const {
  return value_at(std::vector<double>(draws_.size(), x));
}

stats::Draws TrendFit::value_at(std::span<const double> places) const {
  BELAY_CHECK(places.size() == draws_.size(), "a place for each draw");
  std::vector<double> values;
  values.reserve(draws_.size());
  for (std::size_t i = 0; i < draws_.size(); ++i) {
    const Draw& d = draws_[i];
    const Line& line = lines_[d.line];
    const double u = to_u(line, places[i]) - line.mean_u;
    // Beyond T the curve has left every bound, in the direction of its slope.
    const double rise = std::isfinite(u) ? d.slope * u : std::copysign(2 * kMostLog, d.slope);
    values.push_back(from_z(line, d.level + rise + d.noise));
  }
  return stats::Draws(std::move(values));
}

double TrendFit::curve_at(double x) const {
  const Line& line = lines_[best_];
  const double u = to_u(line, x) - line.mean_u;
  return std::isfinite(u) ? from_z(line, line.mean_z + line.slope * u) : HUGE_VAL;
}

std::vector<double> TrendFit::reach(double level) const {
  const bool upward = level > highest_;
  std::vector<double> places;
  places.reserve(draws_.size());
  for (const Draw& d : draws_) {
    const Line& line = lines_[d.line];
    double place = HUGE_VAL;
    const bool possible = shape_.form != TrendForm::kLogistic || level < line.fourth;
    if (possible && (upward ? d.slope > 0 : d.slope < 0)) {
      const double u = line.mean_u + (to_z(line, level) - d.noise - d.level) / d.slope;
      place = std::max(from_u(line, u), last_x_);
    }
    places.push_back(place);
  }
  return places;
}

std::vector<double> TrendFit::slopes() const {
  std::vector<double> values;  // du / dx is 1 at the last point, in every form
  for (const Draw& d : draws_) values.push_back(d.slope);
  return values;
}

double TrendFit::best_slope() const { return lines_[best_].slope; }

std::vector<double> TrendFit::fourth() const {
  std::vector<double> values;
  if (lines_.size() == 1) return values;
  for (const Draw& d : draws_) values.push_back(lines_[d.line].fourth);
  return values;
}

}  // namespace belay::forecast
