// The loops that AMX has in place of AVX-512-BF16's.
#pragma once

#include "ops/simd/kernels.h"

namespace belay::ops::simd::amx {

/// `kernels` with the products of bf16 and of bytes on tiles.
Kernels with_tiles(Kernels kernels);

}  // namespace belay::ops::simd::amx
