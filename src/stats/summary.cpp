#include "stats/summary.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/status.h"

namespace belay::stats {
namespace {

/// Sorts only as far as it must.
double quantile_of(std::vector<double>& values, double q) {
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  const double part = at - static_cast<double>(below);
  if (part == 0) return low;
  return low + part * (*std::min_element(values.begin() + below + 1, values.end()) - low);
}

}  // namespace

double quantile(std::span<const double> values, double q) {
  BELAY_CHECK(!values.empty() && q >= 0 && q <= 1, "a quantile of something");
  std::vector<double> copy(values.begin(), values.end());
  return quantile_of(copy, q);
}

double median(std::span<const double> values) { return quantile(values, 0.5); }

Interval median_interval(std::span<const double> values, double level, const base::Rng& rng,
                         int n_resamples) {
  BELAY_CHECK(!values.empty() && level > 0 && level < 1 && n_resamples > 0,
              "an interval of something");
  std::vector<double> sample(values.size()), medians(static_cast<std::size_t>(n_resamples));
  std::uint64_t draw = 0;
  for (double& m : medians) {
    for (double& v : sample) v = values[rng.below(draw++, values.size())];
    m = quantile_of(sample, 0.5);
  }
  return {quantile_of(medians, (1 - level) / 2), quantile_of(medians, (1 + level) / 2)};
}

}  // namespace belay::stats
