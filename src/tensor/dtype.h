// Element types. The compute types are F32 and BF16; F16 exists in files only and is widened when
// read. Q8 and Q4 hold weights: groups of 32 along a row share a scale in half precision, so that a
// group is 34 or 18 bytes. In rows, as files have them, a group is the Q8_0 or Q4_0 block of GGUF:
// the scale, then a signed byte for each weight, or 16 bytes whose low halves are the first sixteen
// weights and whose high halves the others, 8 added to each.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace belay::tensor {

enum class DType : std::uint8_t { kF32, kBF16, kF16, kI32, kQ8, kQ4 };

constexpr std::int64_t kQuantGroup = 32;  // weights that share a scale
constexpr bool is_quantized(DType dtype) { return dtype == DType::kQ8 || dtype == DType::kQ4; }

/// Bytes of one group of a quantized type.
constexpr std::int64_t group_bytes(DType dtype) { return dtype == DType::kQ8 ? 34 : 18; }

/// Bytes of one element of a type that is not quantized.
constexpr std::int64_t dtype_bytes(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2;
}

/// Bytes of n elements (of a quantized type: in whole groups).
constexpr std::int64_t stored_bytes(DType dtype, std::int64_t n) {
  if (is_quantized(dtype)) return (n + kQuantGroup - 1) / kQuantGroup * group_bytes(dtype);
  return n * dtype_bytes(dtype);
}

constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
    case DType::kI32: return "i32";
    case DType::kQ8: return "q8";
    case DType::kQ4: return "q4";
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

/// Float to IEEE 754 half precision, to nearest, ties to even; beyond its range infinity.
constexpr std::uint16_t to_half(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const auto sign = static_cast<std::uint16_t>(u >> 16 & 0x8000u);
  const std::uint32_t size = u & 0x7fffffffu;
  if (size > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (size >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (size < 0x38800000u) {  // subnormal: adding one half leaves multiples of 2^-24, rounded
    const float shifted = std::bit_cast<float>(size) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) & 0x7ffu));
  }
  const std::uint32_t even = size >> 13 & 1u;
  return static_cast<std::uint16_t>(sign | ((size - 0x38000000u + 0xfffu + even) >> 13));
}

}  // namespace belay::tensor
