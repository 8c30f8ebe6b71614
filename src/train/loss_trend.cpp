#include "train/loss_trend.h"

#include <algorithm>
#include <cmath>

namespace belay::train {

bool LossTrend::update(double loss) {
  constexpr std::int64_t kSettled = 50;
  const double highest = mean + std::max(0.1 * mean, 8 * deviation);
  const bool spike = n >= kSettled && loss > highest;
  if (spike) loss = highest;
  const double share = 1 / static_cast<double>(std::min(++n, kSettled));
  mean += share * (loss - mean);
  if (n > 1) deviation += share * (std::fabs(loss - mean) - deviation);
  return spike;
}

}  // namespace belay::train
