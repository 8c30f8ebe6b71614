#include "stats/proportion.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"

namespace belay::stats {

Interval proportion_interval(double successes, double n) {
  BELAY_CHECK(n > 0 && successes >= 0 && successes <= n, "successes among trials");
  constexpr double z = 1.959963984540054;
  const double p = successes / n, shrunk = 1 + z * z / n;
  const double middle = (p + z * z / (2 * n)) / shrunk;
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrunk;
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace belay::stats
