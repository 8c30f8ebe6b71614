// Weights in blocks with a scale, as GGUF files store them, to f32 and (but for Q4_K) back. The
// layouts are ggml's (ggml-common.h, ggml-quants.c); d is an f16 number, all are little-endian:
//   Q8_0  32 weights, 34 bytes:  d | i8 q[32]               w = d q
//   Q4_0  32 weights, 18 bytes:  d | u4 q[32]               w = d (q - 8)
//   Q4_K 256 weights, 144 bytes: d, m | 8 x (u6 s, u6 t) | u4 q[256]    w = d s q - m t, by 32
//   Q6_K 256 weights, 210 bytes: u6 q[256] | i8 s[16] | d   w = d s (q - 32), by 16
// Plain loops: the reference that faster ones are held against, and fast enough to load a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace belay::ops {

/// By ggml's numbers.
enum class BlockType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ6_K = 14,
  kBF16 = 30,
};

/// The type of that number, where it is one that we compute with.
std::optional<BlockType> block_type_of(std::uint32_t ggml_id);
/// The types of block_type_of, for messages.
inline constexpr std::string_view kBlockTypeNames = "F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K";
std::size_t block_weights(BlockType type);
std::size_t block_bytes(BlockType type);

/// blocks: [out.size() / block_weights(type) * block_bytes(type)] bytes, unaligned.
void dequantize(BlockType type, std::span<const std::byte> blocks, std::span<float> out);

/// The other way, for all but kQ4_K; values: whole blocks. As ggml's reference: Q8_0 with
/// d = max|w| / 127, Q4_0 with d = (the w of largest magnitude) / -8, halves away from zero. Of
/// Q6_K each 16 weights have the scale of a few tried with the least squared error. f16 scales
/// beyond 65504 become infinite: see quantizable.
void quantize(BlockType type, std::span<const float> values, std::span<std::byte> blocks);
/// Every value stays finite in that type.
bool quantizable(BlockType type, std::span<const float> values);

}  // namespace belay::ops
