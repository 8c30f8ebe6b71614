#include "base/units.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <string_view>

namespace belay::base {
namespace {

/// value in the first unit in which it has at most three digits before the point.
template <std::size_t N>
std::string scaled(double value, double step, const std::array<std::string_view, N>& units) {
  std::size_t i = 0;
  while (value >= 999.5 && i + 1 < N) {
    value /= step;
    ++i;
  }
  const int digits = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, units[i]);
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

std::string count_text(double count) {
  return scaled(count, 1000,
                std::array<std::string_view, 8>{"", "k", "M", "G", "T", "P", "E", "Z"});
}

std::string bytes_text(std::uint64_t bytes) {
  return scaled(static_cast<double>(bytes), 1024,
                std::array<std::string_view, 5>{" B", " KiB", " MiB", " GiB", " TiB"});
}

}  // namespace belay::base
