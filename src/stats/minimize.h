// The local minimum of a smooth function of a few variables: L-BFGS (Nocedal, 1980; Liu, Nocedal,
// 1989) as NLopt has it, which is what fits use. Pure: equal arguments give equal results.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace belay::stats {

/// The value at x; fills in the gradient where it is asked for (it may be empty). May return
/// infinity where x means nothing.
using Objective = std::function<double(std::span<const double> x, std::span<double> gradient)>;

struct MinimizeOptions {
  double relative_tolerance = 1e-12;  // of the value and of x, between steps
  int max_evaluations = 2000;
};

struct Minimum {
  std::vector<double> x;
  double value = 0;
  bool converged = false;  // false: the evaluations were used up, or no step helped
};

/// From `start` down. low and high: bounds of each variable, or empty.
Minimum minimize(const Objective& f, std::vector<double> start, std::span<const double> low = {},
                 std::span<const double> high = {}, const MinimizeOptions& options = {});

}  // namespace belay::stats
