#include "stats/draws.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"

namespace belay::stats {

Draws::Draws(std::vector<double> values) : values_(std::move(values)) {
  BELAY_CHECK(!values_.empty(), "a distribution of something");
  for (const double v : values_) BELAY_CHECK(std::isfinite(v), "draws are finite");
  std::sort(values_.begin(), values_.end());
}

double Draws::quantile(double q) const {
  BELAY_CHECK(q >= 0 && q <= 1, "a quantile lies in [0, 1]");
  const double at = q * static_cast<double>(values_.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const double low = values_[below];
  if (below + 1 == values_.size()) return low;
  return low + (at - static_cast<double>(below)) * (values_[below + 1] - low);
}

Interval Draws::interval(double level) const {
  BELAY_CHECK(level > 0 && level < 1, "a level lies in (0, 1)");
  return {quantile((1 - level) / 2), quantile((1 + level) / 2)};
}

double Draws::crps(double outcome) const {
  const auto n = static_cast<double>(values_.size());
  double distance = 0, spread = 0;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    distance += std::abs(values_[i] - outcome);
    // Of sorted values, sum over pairs |x_i - x_j| = 2 sum_i (2i - n + 1) x_i.
    spread += 2 * (2 * static_cast<double>(i) - n + 1) * values_[i];
  }
  return distance / n - spread / (2 * n * n);
}

Combined combine(const Draws& a, const Draws& b) {
  constexpr double kDeviations80 = 2.5631031310892007;  // of a normal distribution's 80 % interval
  constexpr std::size_t kPoints = 100;                  // of each, so that all pairs are few
  const auto deviation = [](const Draws& d) {
    const Interval in = d.interval(0.8);
    return (in.high - in.low) / kDeviations80;
  };
  const double sa = deviation(a), sb = deviation(b), both = sa * sa + sb * sb;
  const double weight = both > 0 ? sb * sb / both : 0.5;
  const double centre = weight * a.median() + (1 - weight) * b.median();
  const double apart = std::abs(a.median() - b.median());
  const double widen = both > 0 ? std::max(1.0, apart / std::sqrt(both)) : 1.0;
  std::vector<double> values;
  for (std::size_t i = 0; i < kPoints; ++i) {
    const double x = a.quantile((static_cast<double>(i) + 0.5) / kPoints);
    for (std::size_t j = 0; j < kPoints; ++j) {
      const double y = b.quantile((static_cast<double>(j) + 0.5) / kPoints);
      values.push_back(centre + widen * (weight * x + (1 - weight) * y - centre));
    }
  }
  return {Draws(std::move(values)), weight};
}

}  // namespace belay::stats
