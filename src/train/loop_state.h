// What the training loop knows beside weights and optimizer state: counters and averages. Together
// with the options it says which step comes next, from which rows of the data, at which rate; no
// random number generator has a state (base/rng.h).
#pragma once

#include <cstdint>

#include "train/loss_trend.h"

namespace belay::train {

struct LoopState {
  std::int64_t step = 0;    // steps that are done, skipped ones included; the next one's index
  std::int64_t tokens = 0;  // of those steps
  std::int64_t skipped = 0, skipped_in_a_row = 0;  // steps whose gradients were not finite
  double seconds = 0;                              // of training, over all processes
  LossTrend loss;                                  // of the steps that were not skipped
};

}  // namespace belay::train
