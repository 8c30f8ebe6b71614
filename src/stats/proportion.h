// The interval of a proportion: Wilson, "Probable inference, the law of succession, and statistical
// inference", JASA 1927. It stays within [0, 1] and has a width where all or none succeeded.
#pragma once

#include "stats/summary.h"

namespace belay::stats {

/// Where the chance behind `successes` of n trials lies with 95 % confidence; n > 0, and fractions
/// of a trial are fine (fewer trials count as independent than were made).
Interval proportion_interval(double successes, double n);

}  // namespace belay::stats
