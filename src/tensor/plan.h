// The memory plan: gives every value of a tape a place in one arena, from its first to its last
// use. Places are chosen greedily, largest first; two values share bytes only if no node sees both.
#pragma once

#include <vector>

#include "tensor/tape.h"

namespace belay::tensor {

constexpr std::int64_t kAlignment = 64;

struct Plan {
  std::vector<std::int64_t> offset;  // by value id; -1 where the value has no planned memory
  std::int64_t arena_bytes = 0;      // values, then scratch
  std::int64_t scratch_offset = 0;
};

/// scratch_bytes: the largest need of a node.
Plan plan_memory(const Tape& tape, std::int64_t scratch_bytes);

}  // namespace belay::tensor
