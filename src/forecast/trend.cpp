#include "forecast/trend.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/rng.h"

namespace belay::forecast {
namespace {

using base::Result;

constexpr std::size_t kLeastOrigins = 4;  // below, a back-test neither chooses nor widens

std::vector<Shape> shapes_to_try(const TrendOptions& o) {
  if (o.form) return {{*o.form, o.ceiling}};
  if (o.linear) return {{TrendForm::kLinear, {}}};
  if (o.ceiling)
    return {{TrendForm::kLogistic, o.ceiling}, {TrendForm::kLogistic, o.ceiling, true}};
  if (!o.by_date) return {{TrendForm::kExponential, {}}};
  return {{TrendForm::kExponential, {}}, {TrendForm::kLogistic, {}}, {TrendForm::kHyperbolic, {}}};
}

/// The mean CRPS of each origin, by origin.
std::map<double, double> by_origin(const TrendBacktest& test) {
  std::map<double, std::pair<double, int>> sums;
  for (const BacktestRow& row : test.rows) {
    auto& [sum, n] = sums[row.origin];
    sum += row.score.crps;
    ++n;
  }
  std::map<double, double> means;
  for (const auto& [origin, sum] : sums) means[origin] = sum.first / sum.second;
  return means;
}

/// By how much b's CRPS exceeds a's over the origins of both: mean and standard error.
std::pair<double, double> difference(const TrendBacktest& a, const TrendBacktest& b) {
  const auto first = by_origin(a), second = by_origin(b);
  std::vector<double> d;
  for (const auto& [origin, crps] : first) {
    if (const auto found = second.find(origin); found != second.end()) {
      d.push_back(found->second - crps);
    }
  }
  if (d.size() < 2) return {0, HUGE_VAL};
  const auto n = static_cast<double>(d.size());
  double mean = 0, squares = 0;
  for (const double v : d) mean += v / n;
  for (const double v : d) squares += (v - mean) * (v - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

/// The simplest form (candidates are in that order) that is within one standard error of the best.
void choose(Trend& trend) {
  auto& all = trend.candidates;
  const auto usable = [&](std::size_t i) {
    return all[i].fault.empty() && all[i].test && all[i].test->n_origins >= kLeastOrigins;
  };
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (usable(i) && (!best || all[i].test->scores.crps < all[*best].test->scores.crps)) best = i;
  }
  if (!best) {
    while (trend.chosen + 1 < all.size() && !all[trend.chosen].fault.empty()) ++trend.chosen;
    trend.why = "the simplest form: too few points to compare forms on the past";
    return;
  }
  trend.chosen = *best;
  trend.why = "it predicted the past best";
  for (std::size_t i = 0; i < *best; ++i) {
    if (!usable(i)) continue;
    const auto [mean, error] = difference(*all[*best].test, *all[i].test);
    if (mean > error) continue;
    trend.chosen = i;
    trend.why = fmt::format("the simplest form; {} predicted the past no better than by chance",
                            shape_name(all[*best].shape));
    break;
  }
}

}  // namespace

std::string shape_name(const Shape& shape) {
  std::string name(form_name(shape.form));
  if (shape.form != TrendForm::kLogistic || !shape.ceiling) return name;
  return name + fmt::format(" with {} {}", shape.lower ? "a fitted ceiling up to" : "ceiling",
                            *shape.ceiling);
}

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    const double place = q * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const double low = values[below], high = values[std::min(below + 1, values.size() - 1)];
    const double part = place - static_cast<double>(below);
    return part == 0 || low == high ? low : low + part * (high - low);
  };
  Spread spread{at(0.5), {}};
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    spread.intervals[i] = {at((1 - kLevels[i]) / 2), at((1 + kLevels[i]) / 2)};
  }
  return spread;
}

double StopPrior::chance_within(double h) const {
  return h <= 0 ? 0 : 1 - std::pow(years / (years + h), shape);
}

double StopPrior::quantile(double q) const { return years * (std::pow(1 - q, -1 / shape) - 1); }

const TrendBacktest* Trend::test() const {
  const auto& test = candidates[chosen].test;
  return test ? &*test : nullptr;
}

Spread Trend::doubling() const {
  std::vector<double> times = fit.slopes();
  const double sign = shrinks() ? -1 : 1;
  for (double& t : times) t = sign * t > 0 ? std::numbers::ln2 / (sign * t) : HUGE_VAL;
  return spread_of(std::move(times));
}

std::vector<double> Trend::stops() const {
  // Strata in an order that has nothing to do with the draws of the fit: a permutation by steps
  // that share no factor with their number.
  const std::size_t n = fit.n_draws();
  std::vector<double> places;
  std::size_t step = static_cast<std::size_t>(static_cast<double>(n) * 0.6180339887) | 1u;
  while (std::gcd(step, n) != 1) step += 2;
  for (std::size_t i = 0; i < n; ++i) {
    const double q = (static_cast<double>(i * step % n) + 0.5) / static_cast<double>(n);
    places.push_back(fit.last_x() + stop.quantile(q));
  }
  return places;
}

double Trend::chance_by(double level, double x) const {
  const std::vector<double> places = fit.reach(level);
  const auto n = std::count_if(places.begin(), places.end(), [&](double p) { return p <= x; });
  return static_cast<double>(n) / static_cast<double>(places.size());
}

double Trend::chance_by_with_stop(double level, double x) const {
  const std::vector<double> places = fit.reach(level), ends = stops();
  double n = 0;
  for (std::size_t i = 0; i < places.size(); ++i) n += places[i] <= std::min(x, ends[i]);
  return n / static_cast<double>(places.size());
}

stats::Draws Trend::value_at_with_stop(double x) const {
  std::vector<double> places = stops();
  for (double& place : places) place = std::min(place, x);
  return fit.value_at(places);
}

Result<Trend> fit_trend(std::span<const Point> points, const TrendOptions& options) {
  std::vector<Candidate> candidates;
  base::Status fault;
  bool any = false;
  for (const Shape& shape : shapes_to_try(options)) {
    Candidate candidate{shape, {}, {}};
    const auto fit = TrendFit::fit(points, shape, {.n_draws = 1, .seed = options.seed});
    if (fit.ok()) {
      any = true;
      candidate.test =
          backtest(points, shape,
                   {.horizon = options.by_date ? options.horizon : HUGE_VAL, .seed = options.seed});
    } else {
      candidate.fault = fit.status().message();
      if (fault.ok()) fault = fit.status();
    }
    candidates.push_back(std::move(candidate));
  }
  if (!any) return fault;
  // A first fit, to be replaced when form and width are known.
  Trend trend{std::move(candidates),
              0,
              "",
              1,
              *TrendFit::fit(points, {TrendForm::kLinear, {}}, {.n_draws = 1}),
              {}};
  choose(trend);
  if (trend.candidates.size() == 1) trend.why = options.form ? "as asked for" : "";
  const TrendBacktest* test = trend.test();
  if (options.calibrate && test != nullptr && test->n_origins >= kLeastOrigins) {
    trend.widened = std::max(1.0, test->spread);
  }
  BELAY_ASSIGN_OR_RETURN(trend.fit, TrendFit::fit(points, trend.candidates[trend.chosen].shape,
                                                  {.widen = trend.widened, .seed = options.seed}));
  const double age = points.back().x - points.front().x;
  trend.stop = {options.stop_shape, options.stop_years > 0 ? options.stop_years : age};
  return trend;
}

}  // namespace belay::forecast
