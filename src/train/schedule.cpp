#include "train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace belay::train {
namespace {

constexpr std::array<std::pair<std::string_view, Curve>, 3> kCurves = {
    {{"linear", Curve::kLinear}, {"cosine", Curve::kCosine}, {"wsd", Curve::kWsd}}};

/// 1 at the peak, 0 at the end.
double height(const Schedule& schedule, double progress) {
  switch (schedule.curve) {
    case Curve::kLinear: break;
    case Curve::kCosine: return (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Curve::kWsd: return std::min(1.0, (1 - progress) / schedule.decay_share);
  }
  return 1 - progress;
}

}  // namespace

std::string_view curve_name(Curve curve) { return kCurves[static_cast<std::size_t>(curve)].first; }

std::optional<Curve> parse_curve(std::string_view name) {
  for (const auto& [known, curve] : kCurves) {
    if (name == known) return curve;
  }
  return std::nullopt;
}

std::int64_t decay_begin(const Schedule& schedule, std::int64_t steps) {
  if (schedule.curve != Curve::kWsd || steps <= 0) return 0;
  const auto n = static_cast<double>(steps);
  auto step = static_cast<std::int64_t>(n * (1 - schedule.decay_share));
  const auto at_peak = [&](std::int64_t s) {
    return height(schedule, static_cast<double>(s) / n) == 1;
  };
  while (step > 0 && !at_peak(step - 1)) --step;
  while (step < steps && at_peak(step)) ++step;
  return step;
}

double learning_rate(const Schedule& schedule, std::int64_t step, double progress) {
  const double warm = schedule.warmup_steps <= 0 ? 1.0
                                                 : static_cast<double>(step + 1) /
                                                       static_cast<double>(schedule.warmup_steps);
  const double curve = height(schedule, std::clamp(progress, 0.0, 1.0));
  return schedule.lr * std::min(warm, 1.0) * (schedule.floor + (1 - schedule.floor) * curve);
}

}  // namespace belay::train
