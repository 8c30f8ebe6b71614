#include "forecast/loss_backtest.h"

#include <algorithm>
#include <cmath>

#include "stats/summary.h"

namespace belay::forecast {
namespace {

using base::Result;

/// A line of log loss over log compute through the runs that no smaller one beats.
class StraightLine {
 public:
  /// points by rising compute
  explicit StraightLine(const std::vector<LossPoint>& points) {
    std::vector<double> x, y;
    double best = HUGE_VAL;
    for (std::size_t i = 0; i < points.size();) {
      double lowest = HUGE_VAL;
      const double flops = points[i].flops;
      for (; i < points.size() && points[i].flops <= 1.05 * flops; ++i) {
        lowest = std::min(lowest, points[i].loss);
      }
      if (lowest >= best) continue;
      best = lowest;
      x.push_back(std::log(flops));
      y.push_back(std::log(lowest));
    }
    const auto n = static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) x_ += x[i] / n, y_ += y[i] / n;
    double xx = 0, xy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      xx += (x[i] - x_) * (x[i] - x_);
      xy += (x[i] - x_) * (y[i] - y_);
    }
    slope_ = xx > 0 ? xy / xx : 0;
  }
  double at(double flops) const { return std::exp(y_ + slope_ * (std::log(flops) - x_)); }

 private:
  double x_ = 0, y_ = 0, slope_ = 0;
};

struct Sums {
  std::vector<double> law, no_change, line;  // relative errors
  LossBacktest all;
};

/// One fit and its forecasts of the later runs; points by rising compute.
void forecast(base::ThreadPool& threads, const std::vector<LossPoint>& fitted,
              std::span<const LossPoint> later, const LossFitOptions& fit_options,
              const LossBacktestOptions& options, Sums& sums) {
  const double most = fitted.back().flops;
  double low = HUGE_VAL, high = 0, last = HUGE_VAL;
  for (const LossPoint& p : fitted) {
    low = std::min(low, p.n_tokens / p.n_params / 1.1);
    high = std::max(high, p.n_tokens / p.n_params * 1.1);
    if (p.flops == most) last = std::min(last, p.loss);
  }
  std::vector<LossPoint> next;
  for (const LossPoint& p : later) {
    const double ratio = p.n_tokens / p.n_params, times = p.flops / most;
    if (ratio >= low && ratio <= high && times > 1.5 && times <= 1.02 * options.ahead) {
      next.push_back(p);
    }
  }
  if (next.empty()) return;
  const Result<LossFit> fit = fit_loss(threads, fitted, fit_options);
  if (!fit.ok()) return;
  const StraightLine line(fitted);
  LossBacktest& all = sums.all;
  ++all.n_fits;
  for (const LossPoint& p : next) {
    const stats::Draws draws = predict_loss(*fit, p.n_params, p.n_tokens, p.unique_tokens,
                                            fit_options.seed + all.n_forecasts);
    const double times = p.flops / most;
    all.least_ahead = all.n_forecasts == 0 ? times : std::min(all.least_ahead, times);
    all.most_ahead = std::max(all.most_ahead, times);
    ++all.n_forecasts;
    sums.law.push_back(std::abs(draws.median() / p.loss - 1));
    sums.no_change.push_back(std::abs(last / p.loss - 1));
    sums.line.push_back(std::abs(line.at(p.flops) / p.loss - 1));
    all.law.crps += draws.crps(p.loss);
    all.no_change.crps += std::abs(last - p.loss);
    all.line.crps += std::abs(line.at(p.flops) - p.loss);
    const auto holds = [&](double level) {
      const stats::Interval in = draws.interval(level);
      return in.low <= p.loss && p.loss <= in.high ? 1.0 : 0.0;
    };
    all.within50 += holds(0.5);
    all.within80 += holds(0.8);
    all.within95 += holds(0.95);
  }
}

}  // namespace

Result<LossBacktest> backtest_loss(base::ThreadPool& threads, std::span<const LossPoint> points,
                                   const LossFitOptions& fit, const LossBacktestOptions& options) {
  std::vector<LossPoint> sorted(points.begin(), points.end());
  for (LossPoint& p : sorted) {
    if (p.flops == 0) p.flops = fit.flops_factor * p.n_params * p.n_tokens;
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.flops < b.flops; });
  LossFitOptions each = fit;
  each.n_resamples = options.n_resamples;
  each.drop_highest = 0;
  Sums sums;
  std::size_t fitted_before = 0;
  const double least = sorted.empty() ? 1 : sorted.front().flops;
  for (double cut = sorted.empty() ? 0 : sorted.back().flops / 1.99; cut >= least; cut /= 2) {
    const auto end = std::find_if(sorted.begin(), sorted.end(),
                                  [&](const LossPoint& p) { return p.flops > cut; });
    const auto n_fit = static_cast<std::size_t>(end - sorted.begin());
    if (n_fit == 0 || n_fit == fitted_before) continue;
    fitted_before = n_fit;
    const double floor = options.window > 0 ? sorted[n_fit - 1].flops / options.window / 1.02 : 0;
    std::vector<LossPoint> fitted;
    for (auto p = sorted.begin(); p != end; ++p) {
      if (p->flops >= floor) fitted.push_back(*p);
    }
    forecast(threads, fitted, std::span(sorted).subspan(n_fit), each, options, sums);
  }
  LossBacktest& all = sums.all;
  if (all.n_forecasts == 0) {
    return base::invalid_argument(
        {.where = "back-test",
         .what = "no smaller runs can be fitted and leave a larger one of their kind",
         .allowed =
             "8 or more runs of 3 sizes and 3 numbers of tokens, and one of twice the compute",
         .next = "add rungs"});
  }
  const auto n = static_cast<double>(all.n_forecasts);
  all.law.error = stats::median(sums.law);
  all.no_change.error = stats::median(sums.no_change);
  all.line.error = stats::median(sums.line);
  for (BacktestScore* score : {&all.law, &all.no_change, &all.line}) score->crps /= n;
  for (double* share : {&all.within50, &all.within80, &all.within95}) *share /= n;
  return all;
}

}  // namespace belay::forecast
