// What the headers of ops/simd/vec.h share: the number of lanes, and one bf16 at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#define BELAY_INLINE inline __attribute__((always_inline))
#define BELAY_LAMBDA __attribute__((always_inline))

namespace belay::ops::simd::BELAY_ISA {

constexpr std::ptrdiff_t kLanes = 16;

BELAY_INLINE float bits_to_float(std::uint32_t u) { return __builtin_bit_cast(float, u); }
BELAY_INLINE std::uint32_t float_to_bits(float f) { return __builtin_bit_cast(std::uint32_t, f); }
BELAY_INLINE float widen(std::uint16_t b) {
  return bits_to_float(static_cast<std::uint32_t>(b) << 16);
}
BELAY_INLINE std::uint16_t narrow(float f) {
  const std::uint32_t u = float_to_bits(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((u >> 16) | 0x40u);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

BELAY_INLINE float widen_half(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t size = static_cast<std::uint32_t>(h & 0x7fffu) << 13;
  if (size >= 0x0f800000u) return bits_to_float(sign | (size + 0x70000000u));  // infinity, NaN
  if (size >= 0x00800000u) return bits_to_float(sign | (size + 0x38000000u));
  return bits_to_float(float_to_bits(static_cast<float>(h & 0x3ffu) * 0x1p-24f) | sign);
}

}  // namespace belay::ops::simd::BELAY_ISA
