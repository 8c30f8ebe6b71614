#include "bench/random_weights.h"

#include <cstring>

#include "base/rng.h"
#include "model/load.h"

namespace belay::bench {
namespace {

using tensor::DType;

constexpr float kSpread = 0.04f;          // uniform in +-: about a standard deviation of 0.02
constexpr std::uint16_t kScale = 0x0c00;  // 2^-12 in half precision: times 127, about kSpread

}  // namespace

RandomWeights::RandomWeights(const model::ModelConfig& config, std::vector<DType> types)
    : config_(config), table_(model::weight_table(config)), types_(std::move(types)) {}

base::Status RandomWeights::read(std::size_t index, std::int64_t first, std::int64_t n,
                                 std::byte* to) const {
  const model::WeightSpec& spec = table_[index];
  if (spec.shape.rank() == 1) {
    for (std::int64_t i = 0; i < n; ++i) {
      const float value = spec.init == model::Init::kOnes ? 1.0f : 0.0f;
      std::memcpy(to + i * 4, &value, 4);
    }
    return {};
  }
  const base::Rng rng(1, base::Purpose::kBench, index);
  const std::int64_t width = spec.shape[1];
  const DType type = types_[index];
  if (tensor::is_quantized(type)) {
    const std::int64_t bytes = tensor::group_bytes(type);
    const std::int64_t groups = tensor::stored_bytes(type, width) / bytes;
    for (std::int64_t g = first * groups; g < (first + n) * groups; ++g, to += bytes) {
      std::memcpy(to, &kScale, 2);
      for (std::int64_t i = 2; i < bytes; i += 4) {
        const std::uint32_t bits = rng.bits(static_cast<std::uint64_t>(g * bytes + i));
        std::memcpy(to + i, &bits, static_cast<std::size_t>(std::min<std::int64_t>(4, bytes - i)));
      }
    }
    return {};
  }
  for (std::int64_t i = 0; i < n * width; ++i) {
    const float value =
        kSpread * (2 * rng.uniform(static_cast<std::uint64_t>(first * width + i)) - 1);
    if (type == DType::kBF16) {
      const tensor::bf16 half = tensor::to_bf16(value);
      std::memcpy(to + i * 2, &half, 2);
    } else {
      std::memcpy(to + i * 4, &value, 4);
    }
  }
  return {};
}

std::vector<DType> random_types(const model::ModelConfig& config, DType compute, int bits) {
  std::vector<DType> types;
  for (const model::WeightSpec& w : model::weight_table(config)) {
    types.push_back(w.shape.rank() == 1 ? DType::kF32 : compute);
  }
  if (bits == 16) return types;
  return model::quantized_types(config, types, bits == 8 ? DType::kQ8 : DType::kQ4);
}

}  // namespace belay::bench
