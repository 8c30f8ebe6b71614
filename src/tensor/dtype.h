// Element types. The compute types are F32 and BF16; F16 exists in files only and is widened when
// read.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace belay::tensor {

enum class DType : std::uint8_t { kF32, kBF16, kF16, kI32 };

/// Bytes of one element.
constexpr std::int64_t dtype_bytes(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2;
}

constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
    case DType::kI32: return "i32";
  }
  return "?";
}

/// bfloat16: the upper half of a float (8 exponent bits, 7 fraction bits). Storage only.
struct bf16 {
  std::uint16_t bits = 0;
};

constexpr float to_float(bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

/// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
constexpr bf16 to_bf16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

/// IEEE 754 half precision to float, subnormals included.
constexpr float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t exponent = (h >> 10) & 0x1fu;
  const std::uint32_t fraction = h & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  }
  const float value = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

/// The other way, to nearest, ties to even; 65520 and more is infinite, a NaN stays a (quiet) NaN.
constexpr std::uint16_t to_half(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000u);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const auto made = [sign](std::uint32_t bits) { return static_cast<std::uint16_t>(sign | bits); };
  if (magnitude > 0x7f800000u) return made(0x7e00u);
  if (magnitude >= 0x477ff000u) return made(0x7c00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: adding 1/2 leaves the rounded fraction at the end
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return made(std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u);
  }
  return made((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13);
}

}  // namespace belay::tensor
