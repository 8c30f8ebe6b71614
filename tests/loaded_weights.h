// A model in memory as a source of weights, for tests.
#pragma once

#include <cstring>
#include <span>

#include "model/hf_folder.h"
#include "model/weights.h"
#include "store/safetensors.h"

namespace belay::test {

class LoadedWeights final : public model::WeightSource {
 public:
  explicit LoadedWeights(const model::LoadedModel& model)
      : model_(model), table_(model::weight_table(model.config)) {}
  const model::ModelConfig& config() const override { return model_.config; }
  tensor::DType type(std::size_t) const override { return tensor::DType::kF32; }
  base::Status verify(std::size_t) const override { return {}; }
  base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                    std::byte* to) const override {
    const tensor::Shape& shape = table_[index].shape;
    const std::int64_t width = shape.rank() == 2 ? shape[1] : 1;
    const auto rows =
        std::span(model_.weights[index])
            .subspan(static_cast<std::size_t>(first * width), static_cast<std::size_t>(n * width));
    BELAY_RETURN_IF_ERROR(store::check_finite(rows, table_[index].name()));
    std::memcpy(to, rows.data(), rows.size_bytes());
    return {};
  }

 private:
  const model::LoadedModel& model_;
  std::vector<model::WeightSpec> table_;
};

}  // namespace belay::test
