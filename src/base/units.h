// Numbers as people read them: three significant digits and a unit.
#pragma once

#include <cstdint>
#include <string>

namespace belay::base {

/// "45s", "3m12s", "1h04m", "2d03h".
std::string duration_text(double seconds);
/// "950", "12.3k", "1.25M", up to Z (10^21).
std::string count_text(double count);
/// "512 B", "1.25 MiB", "64.0 GiB".
std::string bytes_text(std::uint64_t bytes);

}  // namespace belay::base
