#include "train/schedule.h"

#include <algorithm>

namespace belay::train {

double learning_rate(const Schedule& schedule, std::int64_t step, double progress) {
  const double warm = schedule.warmup_steps <= 0 ? 1.0
                                                 : static_cast<double>(step + 1) /
                                                       static_cast<double>(schedule.warmup_steps);
  return schedule.lr * std::min(warm, 1.0) * std::clamp(1 - progress, 0.0, 1.0);
}

}  // namespace belay::train
