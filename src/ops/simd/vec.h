// Sixteen float lanes on every instruction set: one zmm, two ymm, four NEON registers or an array.
// The number of lanes and the order of every reduction are part of the specification
// (docs/exactness.md), so a loop written with these gives the same bits on each of them. fma() is a
// fused multiply-add everywhere.
//
// This header is included only by sources that are compiled once for each instruction set, with
// BELAY_ISA naming it; all code lives in that namespace. No standard library here: an inline
// function compiled for AVX-512 must never be the one that the linker keeps for everybody.
#pragma once

// 1 where BELAY_ISA is neon. A compiler for 64-bit Arm defines __ARM_NEON for the scalar set too.
#define BELAY_IS_NEON_neon 1
#define BELAY_IS_NEON_JOIN(name) BELAY_IS_NEON_##name
#define BELAY_IS_NEON(name) BELAY_IS_NEON_JOIN(name)

#if defined(__AVX512F__)
#include "ops/simd/vec_avx512.h"
#elif defined(__AVX2__)
#include "ops/simd/vec_avx2.h"
#elif BELAY_IS_NEON(BELAY_ISA)
#include "ops/simd/vec_neon.h"
#else
#include "ops/simd/vec_scalar.h"
#endif

namespace belay::ops::simd::BELAY_ISA {

/// acc + a.odd * b.odd, then + a.even * b.even, each fused: what vdpbf16ps computes for normal
/// numbers.
BELAY_INLINE F32x16 dot_pairs(F32x16 acc, Word16 a, Word16 b) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
#else
  acc = fma(high_halves(a), high_halves(b), acc);
  return fma(low_halves(a), low_halves(b), acc);
#endif
}

/// e^x to about 1 ulp; 0 below -87 (and for -inf), saturates above 88, NaN stays NaN (the second
/// operand of min and max is what a NaN passes through).
BELAY_INLINE F32x16 exp(F32x16 x) {
  const F32x16 inside = max(set1(-87.0f), min(set1(88.0f), x));
  const F32x16 n = round(mul(inside, set1(1.44269504f)));
  const F32x16 r = fnma(n, set1(-2.12194440e-4f), fnma(n, set1(0.693359375f), inside));
  F32x16 p = fma(set1(1.9875691500e-4f), r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, set1(1.0f)));
  return if_less(x, set1(-87.0f), set1(0.0f), scale2(p, n));
}

}  // namespace belay::ops::simd::BELAY_ISA
