#include "ops/simd/dispatch.h"

#include "base/status.h"
#if defined(__x86_64__)
#include "ops/simd/amx.h"
#endif

namespace belay::ops::simd {

namespace scalar {
extern const Kernels kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels kTable;
}
namespace avx512 {
extern const Kernels kTable;
}
namespace avx512bf16 {
extern const Kernels kTable;
}
#elif defined(__aarch64__)
namespace neon {
extern const Kernels kTable;
}
#endif

const Kernels& kernels(base::Isa isa) {
  switch (isa) {
    case base::Isa::kScalar: return scalar::kTable;
#if defined(__x86_64__)
    case base::Isa::kAvx2: return avx2::kTable;
    case base::Isa::kAvx512: return avx512::kTable;
    case base::Isa::kAvx512Bf16: return avx512bf16::kTable;
    case base::Isa::kAmx: {
      static const Kernels kTable = amx::with_tiles(avx512bf16::kTable);
      return kTable;
    }
#elif defined(__aarch64__)
    case base::Isa::kNeon: return neon::kTable;
#endif
    default: break;
  }
  BELAY_CHECK(false, "this build has no loops for that instruction set");
  return scalar::kTable;
}

}  // namespace belay::ops::simd
