// fit_loss: checks, what is left out, the form, the resamples.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "forecast/loss_law.h"
#include "forecast/loss_search.h"
#include "stats/summary.h"

namespace belay::forecast {
namespace {

using base::Result;
using base::Status;

constexpr std::size_t kLeastPoints = 8, kMostPoints = 20'000, kLeastDistinct = 3;
constexpr int kMostResamples = 100'000;

std::string name_of(const LossPoint& p, std::size_t i) {
  return p.name.empty() ? fmt::format("point {}", i + 1) : p.name;
}

Status check_range(const std::string& where, std::string_view what, double value, double low,
                   double high) {
  if (value >= low && value <= high) return {};
  return base::invalid_argument({.where = where,
                                 .what = fmt::format("{} that no run has", what),
                                 .seen = fmt::format("{:g}", value),
                                 .allowed = fmt::format("{:g} to {:g}", low, high)});
}

Status check_point(const LossPoint& p, const std::string& where) {
  BELAY_RETURN_IF_ERROR(check_range(where, "a number of parameters", p.n_params, 1, 1e16));
  BELAY_RETURN_IF_ERROR(check_range(where, "a number of tokens", p.n_tokens, 1, 1e18));
  BELAY_RETURN_IF_ERROR(check_range(where, "a number of unique tokens", p.unique_tokens, 0, 1e18));
  BELAY_RETURN_IF_ERROR(check_range(where, "a number of FLOPs", p.flops, 0, 1e36));
  BELAY_RETURN_IF_ERROR(check_range(where, "a weight", p.weight, 1e-6, 1e6));
  if (std::isfinite(p.loss)) {
    BELAY_RETURN_IF_ERROR(check_range(where, "a loss", p.loss, 1e-9, 1e9));
  }
  return {};
}

Status check_options(const LossFitOptions& o) {
  BELAY_RETURN_IF_ERROR(
      check_range("fit", "a number of resamples", o.n_resamples, 0, kMostResamples));
  BELAY_RETURN_IF_ERROR(check_range("fit", "a width of the Huber loss", o.huber, 1e-6, 1e3));
  BELAY_RETURN_IF_ERROR(check_range("fit", "a weight of the prior", o.prior, 0, 1e6));
  BELAY_RETURN_IF_ERROR(check_range("fit", "a power of compute", o.compute_weight, 0, 4));
  return check_range("fit", "FLOPs a parameter and token", o.flops_factor, 0.1, 1000);
}

/// Values that differ by more than a percent.
std::size_t n_distinct(std::span<const LossPoint> points, double LossPoint::*value) {
  std::vector<double> all;
  for (const LossPoint& p : points) all.push_back(p.*value);
  std::sort(all.begin(), all.end());
  std::size_t n = 0;
  double last = 0;
  for (const double v : all) {
    if (v > 1.01 * last) ++n, last = v;
  }
  return n;
}

Status check_enough(std::span<const LossPoint> points, std::size_t n_excluded) {
  const auto too_few = [&](std::string what, std::size_t seen, std::size_t least,
                           std::string next) {
    return base::invalid_argument({.where = "fit",
                                   .what = std::move(what),
                                   .seen = std::to_string(seen),
                                   .allowed = fmt::format("{} or more", least),
                                   .next = std::move(next)});
  };
  if (points.size() < kLeastPoints) {
    return too_few(
        n_excluded == 0 ? "too few points for a law of five numbers"
                        : fmt::format("too few points are left, {} were left out", n_excluded),
        points.size(), kLeastPoints, "train more runs that differ in parameters and tokens");
  }
  const std::size_t n = n_distinct(points, &LossPoint::n_params);
  if (n < kLeastDistinct) {
    return too_few("too few model sizes to tell what parameters bring", n, kLeastDistinct,
                   "train models of other sizes");
  }
  const std::size_t d = n_distinct(points, &LossPoint::n_tokens);
  if (d < kLeastDistinct) {
    return too_few("too few numbers of tokens to tell what tokens bring", d, kLeastDistinct,
                   "train for longer and for shorter");
  }
  const auto [low, high] = std::minmax_element(
      points.begin(), points.end(), [](const auto& a, const auto& b) { return a.loss < b.loss; });
  if (high->loss <= low->loss * (1 + 1e-9)) {
    return base::invalid_argument({.where = "fit",
                                   .what = "all losses are the same: there is no law in them",
                                   .seen = fmt::format("{:g}", low->loss),
                                   .next = "see whether the right column was taken"});
  }
  return {};
}

void exclude(LossFit& fit, std::size_t i, const std::string& name, std::string why) {
  fit.excluded.push_back(name + ": " + std::move(why));
  fit.points.erase(fit.points.begin() + static_cast<std::ptrdiff_t>(i));
}

void drop_highest(LossFit& fit, std::size_t n) {
  for (std::size_t k = 0; k < n && !fit.points.empty(); ++k) {
    const auto highest =
        std::max_element(fit.points.begin(), fit.points.end(),
                         [](const auto& a, const auto& b) { return a.loss < b.loss; });
    exclude(fit, static_cast<std::size_t>(highest - fit.points.begin()), highest->name,
            fmt::format("loss {:.4f} is one of the {} highest", highest->loss, n));
  }
}

/// Leaves out what a first law, which bends little to single points, finds far above itself.
void drop_diverged(LossFit& fit) {
  constexpr double kLeast = 0.1, kTimes = 10;  // a tenth above, and ten times the usual distance
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds && fit.points.size() > kLeastPoints; ++round) {
    const std::vector<LossRow> rows = rows_of(fit.points);
    const std::vector<double> weights = weights_of(fit.points, 0);
    const Found found = best_law(rows, weights, LossForm::kPlain, fit.options);
    std::vector<double> sizes;
    for (const double r : found.residuals) sizes.push_back(std::abs(r));
    const double limit = std::max(kLeast, kTimes * stats::median(sizes));
    std::size_t n_dropped = 0;
    for (std::size_t i = found.residuals.size(); i-- > 0;) {
      if (found.residuals[i] <= limit) continue;
      const double above = 100 * std::expm1(found.residuals[i]);
      exclude(fit, i, fit.points[i].name,
              fmt::format("loss {:.4g} is {:.0f} % above what the other points say (diverged?)",
                          fit.points[i].loss, above));
      ++n_dropped;
    }
    if (n_dropped == 0) return;
  }
}

/// The mean distance at the held-out points, which are the last of `order`.
double held_out_error(const LossFit& fit, LossForm form, const std::vector<std::size_t>& order,
                      std::size_t n_fit) {
  std::vector<LossPoint> points;
  for (std::size_t k = 0; k < n_fit; ++k) points.push_back(fit.points[order[k]]);
  const std::vector<LossRow> rows = rows_of(points);
  const LossLaw law =
      best_law(rows, weights_of(points, fit.options.compute_weight), form, fit.options).law;
  double sum = 0;
  for (std::size_t k = n_fit; k < order.size(); ++k) {
    const LossPoint& p = fit.points[order[k]];
    sum += std::abs(std::log(p.loss / law.loss(p.n_params, p.n_tokens, p.unique_tokens)));
  }
  return sum / static_cast<double>(order.size() - n_fit);
}

/// Repeats are asked about only where there are some.
void choose_form(LossFit& fit) {
  const bool repeats = std::any_of(fit.points.begin(), fit.points.end(), [](const LossPoint& p) {
    return p.unique_tokens > 0 && p.n_tokens > 1.01 * p.unique_tokens;
  });
  fit.form = fit.options.form.value_or(repeats ? LossForm::kRepeats : LossForm::kPlain);
  if (!repeats || fit.options.form) return;
  std::vector<std::size_t> order(fit.points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return fit.points[a].flops < fit.points[b].flops;
  });
  const std::size_t n_held = std::max<std::size_t>(2, fit.points.size() / 4);
  if (fit.points.size() < n_held + kLeastPoints) return;  // too few to ask: R* keeps to its prior
  for (const LossForm form : {LossForm::kRepeats, LossForm::kPlain}) {
    fit.forms.push_back({form, held_out_error(fit, form, order, fit.points.size() - n_held)});
  }
  fit.form = fit.forms[0].error <= fit.forms[1].error ? LossForm::kRepeats : LossForm::kPlain;
}

/// Fits to points drawn with replacement, one resample a chunk; from the best law of all points
/// and, where few points make it likely that another minimum wins, from starts of its own.
void resample(base::ThreadPool& threads, LossFit& fit, std::span<const LossRow> rows,
              std::span<const double> weights, const Found& best, double unit) {
  constexpr std::size_t kFewPoints = 60;
  constexpr double kTolerance = 1e-8;
  const std::size_t n = rows.size(), n_starts = n <= kFewPoints ? 2 : 0;
  fit.resampled.resize(static_cast<std::size_t>(fit.options.n_resamples));
  threads.parallel(fit.options.n_resamples, [&](std::int64_t chunk, int) {
    const base::Rng rng(fit.options.seed, base::Purpose::kBootstrap,
                        static_cast<std::uint64_t>(chunk) + 1);
    std::vector<double> drawn(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) drawn[rng.below(i, n)] += 1;
    for (std::size_t i = 0; i < n; ++i) drawn[i] *= weights[i];
    const LossObjective objective(rows, drawn, fit.form == LossForm::kRepeats, fit.options.huber,
                                  fit.options.prior * unit);
    fit.resampled[static_cast<std::size_t>(chunk)] =
        search(objective, n_starts, std::span(&best.x, 1), kTolerance).law;
  });
}

}  // namespace

Result<LossFit> fit_loss(base::ThreadPool& threads, std::span<const LossPoint> points,
                         const LossFitOptions& options) {
  BELAY_RETURN_IF_ERROR(check_options(options));
  BELAY_RETURN_IF_ERROR(check_range("fit", "a number of points", static_cast<double>(points.size()),
                                    0, static_cast<double>(kMostPoints)));
  LossFit fit;
  fit.options = options;
  for (std::size_t i = 0; i < points.size(); ++i) {
    LossPoint p = points[i];
    p.name = name_of(p, i);
    BELAY_RETURN_IF_ERROR(check_point(p, p.name));
    if (p.flops == 0) p.flops = options.flops_factor * p.n_params * p.n_tokens;
    if (std::isfinite(p.loss)) {
      fit.points.push_back(std::move(p));
    } else {
      fit.excluded.push_back(p.name + ": the loss is not finite (diverged)");
    }
  }
  drop_highest(fit, options.drop_highest);
  BELAY_RETURN_IF_ERROR(check_enough(fit.points, fit.excluded.size()));
  drop_diverged(fit);
  BELAY_RETURN_IF_ERROR(check_enough(fit.points, fit.excluded.size()));
  choose_form(fit);
  const std::vector<LossRow> rows = rows_of(fit.points);
  const std::vector<double> weights = weights_of(fit.points, options.compute_weight);
  double unit = 0;
  const Found best = best_law(rows, weights, fit.form, options, &unit);
  fit.law = best.law;
  fit.residuals = best.residuals;
  resample(threads, fit, rows, weights, best, unit);
  return fit;
}

}  // namespace belay::forecast
