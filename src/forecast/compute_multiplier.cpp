#include "forecast/compute_multiplier.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "stats/draws.h"

namespace belay::forecast {
namespace {

constexpr double kSpan = 10;  // compute over which levels are spread

/// log FLOPs to a level, by curve.
using LogFlops = std::vector<double>;

/// Points that are lower than all before them.
Curve improvements(std::span<const CurvePoint> curve) {
  Curve best;
  for (const CurvePoint& p : curve) {
    if (best.empty() || p.loss < best.back().loss) best.push_back(p);
  }
  return best;
}

/// The best loss so far at some FLOPs, which lie within the curve.
double best_loss_at(const Curve& improving, double flops) {
  const auto after = std::upper_bound(improving.begin(), improving.end(), flops,
                                      [](double f, const CurvePoint& p) { return f < p.flops; });
  if (after == improving.begin()) return after->loss;
  const CurvePoint& left = *(after - 1);
  if (after == improving.end()) return left.loss;
  const double part = std::log(flops / left.flops) / std::log(after->flops / left.flops);
  return left.loss + part * (after->loss - left.loss);
}

double mean_loss_at(const std::vector<Curve>& improving, double flops) {
  double sum = 0;
  for (const Curve& curve : improving) sum += best_loss_at(curve, flops);
  return sum / static_cast<double>(improving.size());
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

/// The logarithms for every curve; empty where one does not reach the level.
LogFlops log_flops(const std::vector<Curve>& curves, double loss) {
  LogFlops logs;
  for (const Curve& curve : curves) {
    const std::optional<double> flops = flops_to_reach(curve, loss);
    if (!flops) return {};
    logs.push_back(std::log(*flops));
  }
  return logs;
}

/// A level with what each curve took to it.
struct Level {
  double loss = 0;
  LogFlops a, b;
};

std::vector<Level> levels_of(const std::vector<Curve>& a, const std::vector<Curve>& b,
                             int n_levels) {
  double lowest = -HUGE_VAL;
  for (const auto* group : {&a, &b}) {
    for (const Curve& curve : *group) lowest = std::max(lowest, curve.back().loss);
  }
  const LogFlops last = log_flops(a, lowest);
  if (last.empty() || log_flops(b, lowest).empty()) return {};
  const double end = mean_of(last);
  std::vector<Level> levels;
  for (int i = 0; i < n_levels; ++i) {
    double loss = lowest;
    if (i + 1 < n_levels) {
      loss = mean_loss_at(a, std::exp(end - std::log(kSpan) * (n_levels - 1 - i) / (n_levels - 1)));
      if (loss <= lowest || (!levels.empty() && loss >= levels.back().loss)) continue;
    }
    Level level{loss, log_flops(a, loss), log_flops(b, loss)};
    if (!level.a.empty() && !level.b.empty()) levels.push_back(std::move(level));
  }
  return levels;
}

std::vector<Curve> improving(std::span<const Curve> curves) {
  std::vector<Curve> all;
  for (const Curve& curve : curves) {
    BELAY_CHECK(!curve.empty(), "a curve has points");
    all.push_back(improvements(curve));
  }
  return all;
}

/// The logarithm of the multiplier at each level, of the seeds that were drawn.
std::vector<double> log_multipliers(const std::vector<Level>& levels,
                                    std::span<const std::size_t> a,
                                    std::span<const std::size_t> b) {
  std::vector<double> logs;
  for (const Level& level : levels) {
    double log_a = 0, log_b = 0;
    for (const std::size_t i : a) log_a += level.a[i] / static_cast<double>(a.size());
    for (const std::size_t i : b) log_b += level.b[i] / static_cast<double>(b.size());
    logs.push_back(log_b - log_a);
  }
  return logs;
}

std::vector<std::size_t> first_numbers(std::size_t n) {
  std::vector<std::size_t> numbers(n);
  for (std::size_t i = 0; i < n; ++i) numbers[i] = i;
  return numbers;
}

stats::Interval interval_of(std::vector<double> logs, double level) {
  const stats::Interval i = stats::Draws(std::move(logs)).interval(level);
  return {std::exp(i.low), std::exp(i.high)};
}

/// Fills in the intervals.
void bootstrap(const std::vector<Level>& levels, const MultiplierOptions& o, const base::Rng& rng,
               ComputeMultiplier& result) {
  std::vector<std::size_t> a(levels[0].a.size()), b(levels[0].b.size());
  std::vector<std::vector<double>> by_level(levels.size());
  std::vector<double> medians;
  std::uint64_t draw = 0;
  for (int i = 0; i < o.n_resamples; ++i) {
    for (std::size_t& seed : a) seed = rng.below(draw++, a.size());
    if (o.paired) {
      b = a;
    } else {
      for (std::size_t& seed : b) seed = rng.below(draw++, b.size());
    }
    const std::vector<double> logs = log_multipliers(levels, a, b);
    for (std::size_t l = 0; l < logs.size(); ++l) by_level[l].push_back(logs[l]);
    medians.push_back(stats::median(logs));
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    result.levels[l].multiplier.interval = interval_of(by_level[l], o.interval_level);
  }
  result.median.interval = interval_of(medians, o.interval_level);
}

}  // namespace

Curve trailing_mean(std::span<const CurvePoint> curve, double ratio) {
  BELAY_CHECK(ratio > 1, "a window holds its own point");
  Curve smooth;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < curve.size(); ++i) {
    while (curve[begin].flops <= curve[i].flops / ratio) ++begin;
    double sum = 0;
    for (std::size_t k = begin; k <= i; ++k) sum += curve[k].loss;
    smooth.push_back({curve[i].flops, sum / static_cast<double>(i - begin + 1)});
  }
  return smooth;
}

std::optional<double> flops_to_reach(std::span<const CurvePoint> curve, double loss) {
  if (curve.empty() || curve[0].loss <= loss) return std::nullopt;
  CurvePoint best = curve[0];
  for (const CurvePoint& p : curve) {
    if (p.loss <= loss) {
      const double part = (best.loss - loss) / (best.loss - p.loss);
      return best.flops * std::pow(p.flops / best.flops, part);
    }
    if (p.loss < best.loss) best = p;
  }
  return std::nullopt;
}

std::optional<ComputeMultiplier> compute_multiplier(std::span<const Curve> a,
                                                    std::span<const Curve> b,
                                                    const MultiplierOptions& options,
                                                    const base::Rng& rng) {
  BELAY_CHECK(!a.empty() && !b.empty() && options.n_levels > 0, "two groups of curves, and levels");
  BELAY_CHECK(!options.paired || a.size() == b.size(), "pairs");
  const std::vector<Level> levels = levels_of(improving(a), improving(b), options.n_levels);
  if (levels.empty()) return std::nullopt;
  ComputeMultiplier result;
  const std::vector<double> logs =
      log_multipliers(levels, first_numbers(a.size()), first_numbers(b.size()));
  for (std::size_t l = 0; l < levels.size(); ++l) {
    result.levels.push_back({levels[l].loss,
                             std::exp(mean_of(levels[l].a)),
                             std::exp(mean_of(levels[l].b)),
                             {std::exp(logs[l]), {}}});
  }
  result.median.value = std::exp(stats::median(logs));
  if (a.size() > 1 && b.size() > 1) bootstrap(levels, options, rng, result);
  return result;
}

}  // namespace belay::forecast
