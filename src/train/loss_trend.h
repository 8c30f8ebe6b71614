// How the loss has been lately: an average and the usual distance from it. Both are plain means at
// first and forget at a rate of 1 in 50 later. What is far above is a spike.
#pragma once

#include <cstdint>

namespace belay::train {

class LossTrend {
 public:
  double mean = 0;       // of the loss, nats per token
  double deviation = 0;  // mean of |loss - mean|
  std::int64_t n = 0;    // losses seen

  /// Takes a finite loss into account. True when it is a spike: after 50 losses, above the mean by
  /// more than a tenth of it and 8 deviations. A spike moves the averages as little as the highest
  /// loss that is none, so that one bad step does not hide the next.
  bool update(double loss);
};

}  // namespace belay::train
