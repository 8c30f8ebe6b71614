#include "ops/quant_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/status.h"
#include "tensor/dtype.h"

namespace belay::ops {
namespace {

using tensor::bf16;
using tensor::half_to_float;
using tensor::to_half;

struct Layout {
  BlockType type;
  std::size_t weights, bytes;
};
constexpr std::array<Layout, 7> kLayouts = {{{BlockType::kF32, 1, 4},
                                             {BlockType::kF16, 1, 2},
                                             {BlockType::kBF16, 1, 2},
                                             {BlockType::kQ4_0, 32, 18},
                                             {BlockType::kQ8_0, 32, 34},
                                             {BlockType::kQ4_K, 256, 144},
                                             {BlockType::kQ6_K, 256, 210}}};

const Layout& layout(BlockType type) {
  const auto it = std::find_if(kLayouts.begin(), kLayouts.end(),
                               [&](const Layout& l) { return l.type == type; });
  BELAY_CHECK(it != kLayouts.end(), "a block type without a layout");
  return *it;
}

const std::uint8_t* bytes_at(const std::byte* p) {
  return reinterpret_cast<const std::uint8_t*>(p);
}

std::uint16_t load_u16(const std::byte* p) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

void store_u16(std::byte* p, std::uint16_t bits) { std::memcpy(p, &bits, sizeof bits); }

void q8_0(const std::byte* block, float* out) {
  const float d = half_to_float(load_u16(block));
  const std::uint8_t* q = bytes_at(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<std::int8_t>(q[i]));
}

void q4_0(const std::byte* block, float* out) {
  const float d = half_to_float(load_u16(block));
  const std::uint8_t* q = bytes_at(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((q[i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((q[i] >> 4) - 8);
  }
}

/// Scale and minimum of sub-block j, packed as 6 bits each: the first four in the low bits of bytes
/// 0 to 7, the others in bytes 8 to 11 with their upper two bits above the first four.
std::pair<int, int> scale_and_min(const std::uint8_t* s, int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | ((s[j - 4] >> 6) << 4), (s[j + 4] >> 4) | ((s[j] >> 6) << 4)};
}

void q4_k(const std::byte* block, float* out) {
  const float d = half_to_float(load_u16(block));
  const float m = half_to_float(load_u16(block + 2));
  const std::uint8_t* scales = bytes_at(block + 4);
  const std::uint8_t* q = bytes_at(block + 16);
  for (int j = 0; j < 8; ++j) {
    const auto [s, t] = scale_and_min(scales, j);
    const float scale = d * static_cast<float>(s), least = m * static_cast<float>(t);
    const std::uint8_t* from = q + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) {
      const int nibble = j % 2 == 0 ? from[i] & 15 : from[i] >> 4;
      out[32 * j + i] = scale * static_cast<float>(nibble) - least;
    }
  }
}

void q6_k(const std::byte* block, float* out) {
  const float d = half_to_float(load_u16(block + 208));
  for (int half = 0; half < 2; ++half) {
    const std::uint8_t* low = bytes_at(block) + 64 * half;
    const std::uint8_t* high = bytes_at(block + 128) + 32 * half;
    const std::uint8_t* scales = bytes_at(block + 192) + 8 * half;
    for (int part = 0; part < 4; ++part) {  // of 32 weights
      for (int i = 0; i < 32; ++i) {
        const int byte = low[i + 32 * (part % 2)];
        const int nibble = part < 2 ? byte & 15 : byte >> 4;
        const int q = (nibble | (((high[i] >> (2 * part)) & 3) << 4)) - 32;
        const auto s = static_cast<std::int8_t>(scales[2 * part + i / 16]);
        out[128 * half + 32 * part + i] = d * static_cast<float>(s) * static_cast<float>(q);
      }
    }
  }
}

void to_q8_0(const float* w, std::byte* block) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(w[i]));
  const float d = largest / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  store_u16(block, to_half(d));
  for (int i = 0; i < 32; ++i) {
    block[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(std::round(w[i] * inverse)));
  }
}

void to_q4_0(const float* w, std::byte* block) {
  float largest = 0, extreme = 0;
  for (int i = 0; i < 32; ++i) {
    if (largest < std::fabs(w[i])) {
      largest = std::fabs(w[i]);
      extreme = w[i];
    }
  }
  const float d = extreme / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  store_u16(block, to_half(d));
  const auto nibble = [&](int i) {
    return static_cast<unsigned>(std::min(15, static_cast<int>(w[i] * inverse + 8.5f)));
  };
  for (int i = 0; i < 16; ++i) {
    block[2 + i] = static_cast<std::byte>(nibble(i) | nibble(i + 16) << 4);
  }
}

/// The scale of 16 weights whose codes, -32 to 31, have the least squared error, of a few tried:
/// the weight of largest size becomes -32, or near it, and the best scale for those codes follows.
float search_q6_scale(const float* w) {
  float extreme = 0, best = -1, scale = 0;
  for (int i = 0; i < 16; ++i) {
    if (std::fabs(w[i]) > std::fabs(extreme)) extreme = w[i];
  }
  for (int step = -9; step <= 9 && extreme != 0; ++step) {
    const float inverse = (-32 - 0.1f * static_cast<float>(step)) / extreme;
    float dot = 0, square = 0;
    for (int i = 0; i < 16; ++i) {
      const float code = std::clamp(std::nearbyint(w[i] * inverse), -32.0f, 31.0f);
      dot += w[i] * code;
      square += code * code;
    }
    if (!(square > 0) || !(dot * dot > best * square)) continue;
    best = dot * dot / square;
    scale = dot / square;
  }
  return scale;
}

void to_q6_k(const float* w, std::byte* block) {
  std::array<float, 16> scales{};
  float largest = 0;
  for (std::size_t j = 0; j < scales.size(); ++j) {
    scales[j] = search_q6_scale(w + 16 * j);
    if (std::fabs(scales[j]) > std::fabs(largest)) largest = scales[j];
  }
  const std::uint16_t half = to_half(largest / -128);
  const float d = half_to_float(half), inverse = d != 0 ? 1 / d : 0;
  std::memset(block, 0, layout(BlockType::kQ6_K).bytes);
  store_u16(block + 208, half);
  for (std::size_t j = 0; j < scales.size(); ++j) {
    const float s = std::clamp(std::nearbyint(scales[j] * inverse), -128.0f, 127.0f);
    block[192 + j] = static_cast<std::byte>(static_cast<std::int8_t>(s));
    const float step = d * s, to_code = step != 0 ? 1 / step : 0;
    for (std::size_t e = 16 * j; e < 16 * (j + 1); ++e) {
      const auto q =
          static_cast<unsigned>(std::clamp(std::nearbyint(w[e] * to_code), -32.0f, 31.0f) + 32);
      const std::size_t part = e % 128 / 32, i = e % 32;
      block[64 * (e / 128) + i + 32 * (part % 2)] |=
          static_cast<std::byte>((q & 15) << (part < 2 ? 0 : 4));
      block[128 + 32 * (e / 128) + i] |= static_cast<std::byte>((q >> 4) << (2 * part));
    }
  }
}

}  // namespace

std::optional<BlockType> block_type_of(std::uint32_t ggml_id) {
  for (const Layout& l : kLayouts) {
    if (static_cast<std::uint32_t>(l.type) == ggml_id) return l.type;
  }
  return std::nullopt;
}

std::size_t block_weights(BlockType type) { return layout(type).weights; }
std::size_t block_bytes(BlockType type) { return layout(type).bytes; }

void dequantize(BlockType type, std::span<const std::byte> blocks, std::span<float> out) {
  const Layout& l = layout(type);
  BELAY_CHECK(out.size() % l.weights == 0 && out.size() / l.weights * l.bytes == blocks.size(),
              "blocks and weights of different sizes");
  const std::byte* p = blocks.data();
  if (type == BlockType::kF32) {
    if (!out.empty()) std::memcpy(out.data(), p, blocks.size());
    return;
  }
  for (std::size_t i = 0; i < out.size(); i += l.weights, p += l.bytes) {
    switch (type) {
      case BlockType::kF32: break;
      case BlockType::kF16: out[i] = half_to_float(load_u16(p)); break;
      case BlockType::kBF16: out[i] = tensor::to_float(bf16{load_u16(p)}); break;
      case BlockType::kQ4_0: q4_0(p, &out[i]); break;
      case BlockType::kQ8_0: q8_0(p, &out[i]); break;
      case BlockType::kQ4_K: q4_k(p, &out[i]); break;
      case BlockType::kQ6_K: q6_k(p, &out[i]); break;
    }
  }
}

void quantize(BlockType type, std::span<const float> values, std::span<std::byte> blocks) {
  const Layout& l = layout(type);
  BELAY_CHECK(
      values.size() % l.weights == 0 && values.size() / l.weights * l.bytes == blocks.size(),
      "blocks and weights of different sizes");
  std::byte* p = blocks.data();
  for (std::size_t i = 0; i < values.size(); i += l.weights, p += l.bytes) {
    const float* w = &values[i];
    switch (type) {
      case BlockType::kF32: std::memcpy(p, w, sizeof(float)); break;
      case BlockType::kF16: store_u16(p, to_half(*w)); break;
      case BlockType::kBF16: store_u16(p, tensor::to_bf16(*w).bits); break;
      case BlockType::kQ8_0: to_q8_0(w, p); break;
      case BlockType::kQ4_0: to_q4_0(w, p); break;
      case BlockType::kQ6_K: to_q6_k(w, p); break;
      case BlockType::kQ4_K: BELAY_CHECK(false, "a block type that is only read");
    }
  }
}

bool quantizable(BlockType type, std::span<const float> values) {
  constexpr float kHalfOverflows = 65520, kBf16Overflows = 0x1.FFp127f;
  float limit = INFINITY;
  if (type == BlockType::kF16) limit = kHalfOverflows;
  if (type == BlockType::kBF16) limit = kBf16Overflows;
  if (type == BlockType::kQ8_0) limit = 127 * 65504.0f;
  if (type == BlockType::kQ4_0) limit = 8 * 65504.0f;
  if (type == BlockType::kQ6_K) limit = 32 * 127 * 65504.0f;
  return std::all_of(values.begin(), values.end(), [&](float v) { return std::fabs(v) < limit; });
}

}  // namespace belay::ops
