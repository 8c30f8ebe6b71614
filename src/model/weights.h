// The weight table: the one place that names every weight. Load, save, counting, initialisation,
// optimizer groups and the forward read it; nothing else knows a weight's name or shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "tensor/shape.h"

namespace belay::model {

enum class Role : std::uint8_t {
  kEmbedding,
  kHead,
  kFinalNorm,
  kAttnNorm,
  kQkv,
  kQkvBias,
  kQNorm,
  kKNorm,
  kAttnOut,
  kAttnOutBias,
  kFfnNorm,
  kGateUp,
  kGateUpBias,
  kDown,
  kDownBias,
};

enum class Init : std::uint8_t { kNormal, kResidualNormal, kOnes, kZeros };

/// Rows [row, row + rows) of a fused weight, under the name that Hugging Face and GGUF give that
/// part.
struct WeightPart {
  std::string hf_name;
  std::string gguf_name;
  std::int64_t row = 0;
  std::int64_t rows = 0;
};

struct WeightSpec {
  Role role;
  std::int64_t layer = -1;  // -1: not in a layer
  tensor::Shape shape;      // matrices [out, in], vectors [n]
  Init init = Init::kNormal;
  double init_std = 0;  // kNormal, kResidualNormal (already divided by sqrt(2 L))
  bool decay = false;   // weight decay applies (matrices yes, vectors and norms no)
  bool muon = false;    // a hidden matrix, which Muon may take
  std::vector<WeightPart> parts;
  std::string name() const { return parts.front().hf_name; }  // how messages name it
  bool is_matrix() const { return shape.rank() == 2; }
  std::int64_t row_size() const { return is_matrix() ? shape.last() : 1; }
};

/// Every weight of the model, in the order: embedding, layers (attention then FFN), final norm,
/// head (the head only when untied).
std::vector<WeightSpec> weight_table(const ModelConfig& config);

/// Index in the table of a role (layer -1 for the ones outside the layers), or -1 when absent.
int find_weight(const std::vector<WeightSpec>& table, Role role, std::int64_t layer = -1);

}  // namespace belay::model
