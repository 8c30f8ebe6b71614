// How much memory there is: /proc/meminfo, limited by the control group (version 2 or 1) of the
// process and the groups above it. A part of Env::posix(); others ask Env.
#pragma once

#include <cstdint>

namespace belay::base {

struct MemoryInfo {
  std::uint64_t total = 0;      // bytes; 0: unknown
  std::uint64_t available = 0;  // bytes; 0: unknown
};

MemoryInfo memory_info();

}  // namespace belay::base
