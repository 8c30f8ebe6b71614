// A model in memory: f32 master weights, their gradients when trained, and the packed copies in the
// compute type that products read. A model for inference holds of a matrix only what its products
// read, in the compute type or quantized, and of the embedding what it is looked up in: the same
// memory where the embedding is tied and its type allows. What a weight is called and shaped like
// stands in weights.h alone.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/context.h"
#include "model/config.h"
#include "model/weight_source.h"
#include "model/weights.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include "ops/rope.h"
#include "tensor/tape.h"

namespace belay::model {

/// Bytes that a Model takes, without taking them.
struct ModelBytes {
  std::int64_t master = 0, gradients = 0, packed = 0;
  std::int64_t total() const { return master + gradients + packed; }
};
ModelBytes model_bytes(const ModelConfig& config, tensor::DType compute, bool trained);

/// The types in which a model for inference is stored where it comes from, by table index.
using StoredTypes = std::vector<tensor::DType>;
/// Of a model for inference; master: of the vectors.
ModelBytes model_bytes(const ModelConfig& config, tensor::DType compute, const StoredTypes& stored);

/// How attention begins: as drawn, or with heads that copy from the context (model/initialize.cpp),
/// for models that normalize queries and keys.
enum class FirstAttention : std::uint8_t { kRandom, kInduction };

class Model {
 public:
  /// compute: F32 or BF16. trained: gradients and the operands of backward are held too.
  /// max_positions: rows of the rotary table (longest document).
  Model(const ModelConfig& config, tensor::DType compute, bool trained, std::int64_t max_positions);
  /// For inference: quantized matrices stay as they are stored, the others become the compute type.
  Model(const ModelConfig& config, tensor::DType compute, const StoredTypes& stored,
        std::int64_t max_positions);

  /// Fills the masters from the table's initialisation, then packs.
  void initialize(base::Context& ctx, std::uint64_t seed,
                  FirstAttention first = FirstAttention::kRandom);
  /// Takes masters in table order (sizes must match), then packs.
  void load(base::Context& ctx, const std::vector<std::vector<float>>& weights);
  /// For inference: takes all weights from where they are stored, a panel of rows at a time.
  base::Status read(base::Context& ctx, const WeightSource& source);
  /// Renews the packed copies after the masters changed.
  void pack(base::Context& ctx) { ops::pack_weights(ctx, packing_); }

  const ModelConfig& config() const { return config_; }
  const std::vector<WeightSpec>& table() const { return table_; }
  tensor::DType compute() const { return compute_; }
  bool trained() const { return trained_; }
  std::int64_t max_positions() const { return max_positions_; }
  /// Of the matrices as a forward's products read them.
  std::int64_t product_bytes() const;

  /// Without data where there is none: a matrix of a model for inference.
  tensor::View master(std::size_t index) const;
  tensor::View gradient(std::size_t index) const;  // absent when not trained
  /// All masters (gradients) as one run of floats; the padding between weights stays zero.
  std::int64_t n_floats() const { return n_floats_; }
  float* masters() const { return reinterpret_cast<float*>(master_.data()); }
  float* gradients() const { return reinterpret_cast<float*>(gradient_.data()); }
  std::int64_t offset(std::size_t index) const { return held_[index].floats; }

  /// The weight on a tape, as products read it; frozen: no gradient.
  ops::Matrix bind_matrix(tensor::Tape& tape, Role role, std::int64_t layer = -1) const;
  /// The embedding on a tape, as it is looked up in.
  ops::Matrix bind_embedding(tensor::Tape& tape) const;
  /// A vector (norm, bias), or kNone when the model has none.
  tensor::Id bind_vector(tensor::Tape& tape, Role role, std::int64_t layer = -1) const;
  tensor::Id bind_cos(tensor::Tape& tape) const;
  tensor::Id bind_sin(tensor::Tape& tape) const;

  /// Weights whose gradient is not wanted (the mask of needed gradients); by table index.
  void freeze(std::size_t index, bool frozen) { frozen_[index] = frozen; }
  bool frozen(std::size_t index) const { return frozen_[index]; }

 private:
  /// Where a weight lies; -1: it is not held in that form.
  struct Held {
    std::int64_t floats = -1;                    // of master and gradient, in floats
    std::int64_t forward = -1, backward = -1;    // in bytes
    tensor::DType packed = tensor::DType::kF32;  // of forward and backward
  };
  struct Sizes {
    std::int64_t floats = 0, forward = 0, backward = 0;
  };
  friend ModelBytes model_bytes(const ModelConfig&, tensor::DType, bool);
  friend ModelBytes model_bytes(const ModelConfig&, tensor::DType, const StoredTypes&);
  /// Places every weight. Of a model for inference, `lookup` is the embedding where it is not the
  /// output layer's copy.
  static Sizes place(const std::vector<WeightSpec>& table, const ModelConfig& config,
                     tensor::DType compute, bool trained, const StoredTypes* stored,
                     std::vector<Held>& held, Held& lookup);
  Model(const ModelConfig& config, tensor::DType compute, bool trained, const StoredTypes* stored,
        std::int64_t max_positions);
  tensor::View packed(const Held& held, std::size_t index, bool forward) const;
  base::Status read_panel(base::Isa isa, const WeightSource& source, std::size_t index,
                          std::int64_t panel, std::byte* rows) const;

  ModelConfig config_;
  std::vector<WeightSpec> table_;
  tensor::DType compute_;
  bool trained_;
  std::int64_t max_positions_;
  std::int64_t n_floats_ = 0;
  std::vector<Held> held_;
  Held lookup_;
  std::vector<ops::PackedWeight> packing_;
  std::vector<bool> frozen_;
  base::Buffer master_, gradient_, forward_, backward_;
  ops::RopeTable rope_;
};

}  // namespace belay::model
