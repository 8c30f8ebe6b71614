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

double learning_rate(const Schedule& schedule, std::int64_t step, double progress) {
  const double warm = schedule.warmup_steps <= 0 ? 1.0
                                                 : static_cast<double>(step + 1) /
                                                       static_cast<double>(schedule.warmup_steps);
  const double curve = height(schedule, std::clamp(progress, 0.0, 1.0));
  return schedule.lr * std::min(warm, 1.0) * (schedule.floor + (1 - schedule.floor) * curve);
}

}  // namespace belay::train
