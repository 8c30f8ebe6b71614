// One curve through the points of a series, with its uncertainty. Every form is a straight line
// between a transformed value z and a transformed place u, with normal errors of z:
//   linear       z = y                 u = x
//   exponential  z = ln y              u = x                      (x = ln X: a power law of X)
//   logistic     z = ln(y / (c - y))   u = x                      c: ceiling, given or fitted
//   hyperbolic   z = ln y              u = -r ln((T - x) / r)     r = T - last x: y = K / (T - x)^p
// Slope, intercept and error variance have the reference prior, 1 / variance: predictions then are
// Student's t with n - 2 degrees of freedom, so few points give the wide interval that they are
// worth (with three it is Cauchy's). The fourth parameter, where there is one, is summed over a
// grid with its posterior weight: (c / highest y - 1) between 0.02 and 1000 (of scores, the room
// left between 2 and 100 %), r between 0.02 and 20 times the span of x, uniform in the logarithm;
// without a bound of scores the upper ends are the exponential. Gelman et al., "Bayesian data
// analysis", 3rd ed., 14.2. Pure: equal arguments give equal results.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "stats/draws.h"

namespace belay::forecast {

enum class TrendForm : std::uint8_t { kLinear, kExponential, kLogistic, kHyperbolic };
/// "exponential", ...
std::string_view form_name(TrendForm form);

struct Point {
  double x = 0;  // years since 1970, or the logarithm of an amount
  double y = 0;
};

struct Shape {
  TrendForm form = TrendForm::kExponential;
  std::optional<double> ceiling = {};  // of a logistic curve; none: fitted
  bool lower = false;                  // fitted too, but at most `ceiling`
};

struct TrendFitOptions {
  int n_draws = 4000;
  double widen = 1;  // factor on all deviations from the best curve (calibration by a back-test)
  std::uint64_t seed = 0;
};

inline constexpr std::size_t kLeastPoints = 3;

class TrendFit {
 public:
  /// points in order of x. What cannot be fitted is kInvalidArgument: fewer than three points, all
  /// at one x or one value, values outside what the form can have.
  static base::Result<TrendFit> fit(std::span<const Point> points, const Shape& shape,
                                    const TrendFitOptions& options = {});

  /// What an observation at x would be.
  stats::Draws value_at(double x) const;
  /// The same with a place of its own for each draw.
  stats::Draws value_at(std::span<const double> places) const;
  /// The best curve at x.
  double curve_at(double x) const;
  /// Where an observation reaches the level, which lies beyond all points so far: not before the
  /// last one; infinite where it never does. One value a draw.
  std::vector<double> reach(double level) const;
  /// The slope of z in x, at the last point: growth a unit of x of ln y (of y for the linear form,
  /// of the log odds for the logistic one). One value a draw; best() is that of the best curve.
  std::vector<double> slopes() const;
  double best_slope() const;
  /// The fourth parameter: the ceiling or T. One value a draw; empty where there is none.
  std::vector<double> fourth() const;

  const Shape& shape() const { return shape_; }
  std::size_t n_points() const { return n_points_; }
  std::size_t n_draws() const { return draws_.size(); }
  double last_x() const { return last_x_; }
  double degrees_of_freedom() const { return static_cast<double>(n_points_) - 2; }
  /// Share of the variance of z that the best curve explains.
  double r_squared() const { return r_squared_; }

 private:
  /// A line through (mean u, mean z) at one value of the fourth parameter.
  struct Line {
    double fourth = 0;                         // ceiling or T
    double mean_u = 0, mean_z = 0, slope = 0;  // best
    double u_squares = 0, residual_squares = 0;
    double z_squares = 0, log_weight = 0;
  };
  struct Draw {
    std::size_t line = 0;
    double level = 0, slope = 0, noise = 0;  // z = level + slope (u - mean_u) + noise
  };

  double to_z(const Line& line, double y) const;
  double from_z(const Line& line, double z) const;
  double to_u(const Line& line, double x) const;
  double from_u(const Line& line, double u) const;
  Line line_at(std::span<const Point> points, double fourth) const;
  std::vector<double> grid(std::span<const Point> points) const;
  void draw(const TrendFitOptions& options);

  Shape shape_;
  std::size_t n_points_ = 0, best_ = 0;
  double last_x_ = 0, highest_ = 0, r_squared_ = 0;
  std::vector<Line> lines_;
  std::vector<Draw> draws_;
};

}  // namespace belay::forecast
