// The learning rate over a run: it rises linearly over the first steps, then falls linearly to zero
// at the end. The end is a number of steps (the same seed then gives the same weights) or a time.
#pragma once

#include <cstdint>

namespace belay::train {

struct Schedule {
  double lr = 0;                  // the peak
  std::int64_t warmup_steps = 0;  // step s < warmup_steps has at most (s + 1) / warmup_steps of it
};

/// The rate of step `step` (from 0); progress in [0, 1]: the share of the run that lies behind it.
double learning_rate(const Schedule& schedule, std::int64_t step, double progress);

}  // namespace belay::train
