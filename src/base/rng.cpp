#include "base/rng.h"

#include <cmath>
#include <numbers>

namespace belay::base {

float Rng::normal(std::uint64_t i) const {
  const auto block = draw(i / 2);
  const std::size_t half = (i % 2) * 2;
  const double u = (static_cast<double>(block[half]) + 0.5) * 0x1p-32;
  const double v = static_cast<double>(block[half + 1]) * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v));
}

}  // namespace belay::base
