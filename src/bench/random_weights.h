// Weights without a file, for benches: random numbers of the size that initialisation gives, in any
// type that a model for inference holds.
#pragma once

#include "model/weight_source.h"
#include "model/weights.h"

namespace belay::bench {

class RandomWeights final : public model::WeightSource {
 public:
  /// types: of each entry of the weight table.
  RandomWeights(const model::ModelConfig& config, std::vector<tensor::DType> types);
  const model::ModelConfig& config() const override { return config_; }
  tensor::DType type(std::size_t index) const override { return types_[index]; }
  base::Status verify(std::size_t) const override { return {}; }
  base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                    std::byte* to) const override;

 private:
  model::ModelConfig config_;
  std::vector<model::WeightSpec> table_;
  std::vector<tensor::DType> types_;
};

/// Matrices in bf16 (or f32), or quantized to `bits` 8 or 4 as `belay quantize` does.
std::vector<tensor::DType> random_types(const model::ModelConfig& config, tensor::DType compute,
                                        int bits);

}  // namespace belay::bench
