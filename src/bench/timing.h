// Timing of one thing alone: it runs once unseen, then a few times.
#pragma once

#include <algorithm>
#include <limits>

#include "base/env.h"

namespace belay::bench {

inline double seconds_now() { return base::Env::posix().steady_seconds(); }

/// How often something is timed: until one of the two is used up, and at least once.
struct Repeats {
  int most = 20;
  double seconds = 2;
};

/// Seconds of the fastest run of body.
template <class Body>
double best_seconds(const Repeats& repeats, Body&& body) {
  body();
  double best = std::numeric_limits<double>::infinity();
  const double first = seconds_now();
  for (int i = 0; i < repeats.most; ++i) {
    const double start = seconds_now();
    body();
    const double end = seconds_now();
    best = std::min(best, end - start);
    if (end - first > repeats.seconds) break;
  }
  return best;
}

}  // namespace belay::bench
