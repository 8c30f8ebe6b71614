#include "stats/minimize.h"

#include <nlopt.h>

#include <cmath>
#include <memory>

#include "base/status.h"

namespace belay::stats {
namespace {

/// Keeps the best point itself: NLopt loses it when it ends by an error of rounding.
struct Search {
  const Objective& f;
  Minimum best;
};

double call(unsigned n, const double* x, double* gradient, void* data) {
  auto& search = *static_cast<Search*>(data);
  const std::span<const double> at(x, n);
  const std::span<double> slope(gradient, gradient == nullptr ? 0 : n);
  const double value = search.f(at, slope);
  if (value < search.best.value) {
    search.best.value = value;
    search.best.x.assign(at.begin(), at.end());
  }
  return std::isfinite(value) ? value : 1e300;
}

}  // namespace

Minimum minimize(const Objective& f, std::vector<double> start, std::span<const double> low,
                 std::span<const double> high, const MinimizeOptions& options) {
  const std::size_t n = start.size();
  BELAY_CHECK(n > 0 && (low.empty() || low.size() == n) && (high.empty() || high.size() == n),
              "bounds of each variable, or none");
  const std::unique_ptr<nlopt_opt_s, decltype(&nlopt_destroy)> opt(
      nlopt_create(NLOPT_LD_LBFGS, static_cast<unsigned>(n)), &nlopt_destroy);
  Search search{f, {start, f(start, {}), false}};
  nlopt_set_min_objective(opt.get(), call, &search);
  if (!low.empty()) nlopt_set_lower_bounds(opt.get(), low.data());
  if (!high.empty()) nlopt_set_upper_bounds(opt.get(), high.data());
  nlopt_set_ftol_rel(opt.get(), options.relative_tolerance);
  nlopt_set_xtol_rel(opt.get(), options.relative_tolerance);
  nlopt_set_maxeval(opt.get(), options.max_evaluations);
  double value = 0;
  const nlopt_result ended = nlopt_optimize(opt.get(), start.data(), &value);
  // Rounding that stops progress is what a minimum found to the last bits looks like.
  search.best.converged =
      (ended > 0 && ended != NLOPT_MAXEVAL_REACHED) || ended == NLOPT_ROUNDOFF_LIMITED;
  return search.best;
}

}  // namespace belay::stats
