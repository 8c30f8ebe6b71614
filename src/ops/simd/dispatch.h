// Picks the table of fast loops for an instruction set.
#pragma once

#include "base/cpu.h"
#include "ops/simd/kernels.h"

namespace belay::ops::simd {

/// The table of `isa`, which must be one that this build has and this machine runs.
const Kernels& kernels(base::Isa isa);

}  // namespace belay::ops::simd
