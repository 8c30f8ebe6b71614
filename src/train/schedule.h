// The learning rate over a run: it rises linearly over the first steps; after that it follows a
// curve over the share of the run that lies behind. The end is a number of steps (the same seed
// then gives the same weights) or a time.
//   linear   falls from the peak to the floor over the whole run
//   cosine   the same as half a cosine. Loshchilov, Hutter, "SGDR", ICLR 2017
//   wsd      warmup, stable, decay: stays at the peak, and falls linearly over the last part. Hu et
//            al., "MiniCPM", 2024
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace belay::train {

enum class Curve : std::uint8_t { kLinear, kCosine, kWsd };

/// "linear", "cosine", "wsd", and back.
std::string_view curve_name(Curve curve);
std::optional<Curve> parse_curve(std::string_view name);

struct Schedule {
  double lr = 0;                  // the peak
  std::int64_t warmup_steps = 0;  // step s < warmup_steps has at most (s + 1) / warmup_steps of it
  Curve curve = Curve::kLinear;
  double decay_share = 0.2;  // of the run, in which wsd falls
  double floor = 0;          // the rate at the end, as a share of the peak
};

/// The first step of a run of `steps` whose rate depends on where the run ends: before it, a run of
/// another length is the same run. 0 for the curves that fall from the start.
std::int64_t decay_begin(const Schedule& schedule, std::int64_t steps);

/// The rate of step `step` (from 0); progress in [0, 1]: the share of the run that lies behind it.
double learning_rate(const Schedule& schedule, std::int64_t step, double progress);

}  // namespace belay::train
