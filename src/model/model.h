// A model in memory: f32 master weights, their gradients when trained, and the packed copies in the
// compute type that products read. What a weight is called and shaped like stands in weights.h
// alone.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/context.h"
#include "model/config.h"
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

class Model {
 public:
  /// compute: F32 or BF16. trained: gradients and the operands of backward are held too.
  /// max_positions: rows of the rotary table (longest document).
  Model(const ModelConfig& config, tensor::DType compute, bool trained, std::int64_t max_positions);

  /// Fills the masters from the table's initialisation, then packs.
  void initialize(base::Context& ctx, std::uint64_t seed);
  /// Takes masters in table order (sizes must match), then packs.
  void load(base::Context& ctx, const std::vector<std::vector<float>>& weights);
  /// Renews the packed copies after the masters changed.
  void pack(base::Context& ctx) { ops::pack_weights(ctx, packing_); }

  const ModelConfig& config() const { return config_; }
  const std::vector<WeightSpec>& table() const { return table_; }
  tensor::DType compute() const { return compute_; }
  bool trained() const { return trained_; }
  std::int64_t max_positions() const { return max_positions_; }

  tensor::View master(std::size_t index) const;
  tensor::View gradient(std::size_t index) const;  // absent when not trained
  /// All masters (gradients) as one run of floats; the padding between weights stays zero.
  std::int64_t n_floats() const { return n_floats_; }
  float* masters() const { return reinterpret_cast<float*>(master_.data()); }
  float* gradients() const { return reinterpret_cast<float*>(gradient_.data()); }
  std::int64_t offset(std::size_t index) const { return offset_[index]; }

  /// The weight on a tape; frozen: no gradient.
  ops::Matrix bind_matrix(tensor::Tape& tape, Role role, std::int64_t layer = -1) const;
  /// A vector (norm, bias), or kNone when the model has none.
  tensor::Id bind_vector(tensor::Tape& tape, Role role, std::int64_t layer = -1) const;
  tensor::Id bind_cos(tensor::Tape& tape) const;
  tensor::Id bind_sin(tensor::Tape& tape) const;

  /// Weights whose gradient is not wanted (the mask of needed gradients); by table index.
  void freeze(std::size_t index, bool frozen) { frozen_[index] = frozen; }
  bool frozen(std::size_t index) const { return frozen_[index]; }

 private:
  tensor::View packed(const base::Buffer& buffer, std::size_t index, bool forward) const;

  ModelConfig config_;
  std::vector<WeightSpec> table_;
  tensor::DType compute_;
  bool trained_;
  std::int64_t max_positions_;
  std::int64_t n_floats_ = 0;
  std::vector<std::int64_t> offset_;                            // in floats
  std::vector<std::int64_t> packed_forward_, packed_backward_;  // in bytes; -1: not a matrix
  std::vector<ops::PackedWeight> packing_;
  std::vector<bool> frozen_;
  base::Buffer master_, gradient_, forward_, backward_;
  ops::RopeTable rope_;
};

}  // namespace belay::model
