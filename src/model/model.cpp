#include "model/model.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "ops/matmul.h"

namespace belay::model {
namespace {

using tensor::DType;
using tensor::View;

/// The embedding is packed only where it is the output layer too.
bool is_packed(const WeightSpec& w, const ModelConfig& config) {
  return w.is_matrix() && (w.role != Role::kEmbedding || config.tied_embeddings);
}

/// The type of the embedding as a model for inference looks it up: that in which it is stored.
DType lookup_type(DType stored) {
  return stored == DType::kBF16 || tensor::is_quantized(stored) ? stored : DType::kF32;
}

std::int64_t forward_bytes(const tensor::Shape& s, DType type) {
  return tensor::stored_bytes(type, ops::packed_forward_shape(s[0], s[1], type).count());
}

/// Takes `bytes` of a buffer of `size`; returns where they begin.
std::int64_t take(std::int64_t& size, std::int64_t bytes) {
  const std::int64_t at = size;
  size += bytes;
  return at;
}

}  // namespace

Model::Sizes Model::place(const std::vector<WeightSpec>& table, const ModelConfig& config,
                          DType compute, bool trained, const StoredTypes* stored,
                          std::vector<Held>& held, Held& lookup) {
  Sizes sizes;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const WeightSpec& w = table[i];
    Held& h = held.emplace_back();
    if (stored == nullptr || !w.is_matrix()) {
      h.floats = sizes.floats;
      sizes.floats += ops::round_up(w.shape.count(), 16);
    }
    if (is_packed(w, config)) {
      h.packed = stored != nullptr && tensor::is_quantized((*stored)[i]) ? (*stored)[i] : compute;
      h.forward = take(sizes.forward, forward_bytes(w.shape, h.packed));
      if (trained) {
        const std::int64_t n = ops::packed_backward_shape(w.shape[0], w.shape[1]).count();
        h.backward = take(sizes.backward, n * tensor::dtype_bytes(compute));
      }
    }
    if (stored == nullptr || w.role != Role::kEmbedding) continue;
    lookup.packed = lookup_type((*stored)[i]);
    const bool holds_it = h.packed == lookup.packed || h.packed == DType::kF32;
    if (h.forward >= 0 && holds_it) {
      lookup = h;
    } else {
      lookup.forward = take(sizes.forward, forward_bytes(w.shape, lookup.packed));
    }
  }
  return sizes;
}

ModelBytes model_bytes(const ModelConfig& config, DType compute, bool trained) {
  std::vector<Model::Held> held;
  Model::Held lookup;
  const Model::Sizes s =
      Model::place(weight_table(config), config, compute, trained, nullptr, held, lookup);
  return {4 * s.floats, trained ? 4 * s.floats : 0, s.forward + s.backward};
}

ModelBytes model_bytes(const ModelConfig& config, DType compute, const StoredTypes& stored) {
  std::vector<Model::Held> held;
  Model::Held lookup;
  const Model::Sizes s =
      Model::place(weight_table(config), config, compute, false, &stored, held, lookup);
  return {4 * s.floats, 0, s.forward};
}

Model::Model(const ModelConfig& config, DType compute, bool trained, std::int64_t max_positions)
    : Model(config, compute, trained, nullptr, max_positions) {}

Model::Model(const ModelConfig& config, DType compute, const StoredTypes& stored,
             std::int64_t max_positions)
    : Model(config, compute, false, &stored, max_positions) {}

Model::Model(const ModelConfig& config, DType compute, bool trained, const StoredTypes* stored,
             std::int64_t max_positions)
    : config_(config),
      table_(weight_table(config)),
      compute_(compute),
      trained_(trained),
      max_positions_(max_positions),
      frozen_(table_.size(), false) {
  BELAY_CHECK(stored == nullptr || stored->size() == table_.size(), "a type for each weight");
  const Sizes sizes = place(table_, config, compute, trained, stored, held_, lookup_);
  n_floats_ = sizes.floats;
  master_ = base::Buffer(n_floats_ * 4);
  gradient_ = base::Buffer(trained ? n_floats_ * 4 : 0);
  forward_ = base::Buffer(sizes.forward);
  backward_ = base::Buffer(sizes.backward);
  for (std::size_t i = 0; i < table_.size() && stored == nullptr; ++i) {
    if (held_[i].forward < 0) continue;
    packing_.push_back(
        {master(i), packed(held_[i], i, true), trained ? packed(held_[i], i, false) : View{}});
  }
  std::optional<ops::RopeScaling> scaling;
  if (config.llama3_rope) {
    const Llama3Rope& r = *config.llama3_rope;
    scaling = ops::RopeScaling{r.factor, r.low_freq_factor, r.high_freq_factor,
                               static_cast<double>(r.original_max_position)};
  }
  rope_ = ops::rope_table(max_positions, config.head_dim, config.rope_theta, scaling);
}

void Model::load(base::Context& ctx, const std::vector<std::vector<float>>& weights) {
  BELAY_CHECK(weights.size() == table_.size(), "one array for each weight");
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const auto n = static_cast<std::size_t>(table_[i].shape.count());
    BELAY_CHECK(weights[i].size() == n, "a weight's size");
    std::memcpy(master(i).f32(), weights[i].data(), n * sizeof(float));
  }
  pack(ctx);
}

std::int64_t Model::product_bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (held_[i].forward < 0) continue;
    const tensor::Shape packed = ops::packed_forward_shape(table_[i].shape[0], table_[i].shape[1]);
    bytes += tensor::stored_bytes(held_[i].packed, packed.count());
  }
  return bytes;
}

View Model::master(std::size_t index) const {
  const std::int64_t at = held_[index].floats;
  return {at < 0 ? nullptr : masters() + at, table_[index].shape, DType::kF32};
}

View Model::gradient(std::size_t index) const {
  if (!trained_) return {};
  return {gradients() + held_[index].floats, table_[index].shape, DType::kF32};
}

View Model::packed(const Held& held, std::size_t index, bool forward) const {
  const tensor::Shape& s = table_[index].shape;
  if (!forward) {
    return {backward_.data() + held.backward, ops::packed_backward_shape(s[0], s[1]), held.packed};
  }
  return {forward_.data() + held.forward, ops::packed_forward_shape(s[0], s[1], held.packed),
          held.packed};
}

ops::Matrix Model::bind_matrix(tensor::Tape& tape, Role role, std::int64_t layer) const {
  const int found = find_weight(table_, role, layer);
  BELAY_CHECK(found >= 0, "the model has that matrix");
  const auto i = static_cast<std::size_t>(found);
  ops::Matrix m;
  const View w = master(i);
  m.master = w ? tape.weight(w, frozen_[i] ? View{} : gradient(i)) : tape.external(w);
  if (held_[i].forward < 0) return m;
  m.forward = tape.external(packed(held_[i], i, true));
  m.backward = trained_ ? tape.external(packed(held_[i], i, false)) : tensor::kNone;
  return m;
}

ops::Matrix Model::bind_embedding(tensor::Tape& tape) const {
  ops::Matrix m = bind_matrix(tape, Role::kEmbedding);
  if (lookup_.forward < 0) return m;
  const auto i = static_cast<std::size_t>(find_weight(table_, Role::kEmbedding));
  m.forward = tape.external(packed(lookup_, i, true));
  return m;
}

tensor::Id Model::bind_vector(tensor::Tape& tape, Role role, std::int64_t layer) const {
  const int found = find_weight(table_, role, layer);
  if (found < 0) return tensor::kNone;
  const auto i = static_cast<std::size_t>(found);
  return tape.weight(master(i), frozen_[i] ? View{} : gradient(i));
}

tensor::Id Model::bind_cos(tensor::Tape& tape) const {
  return tape.external(
      {const_cast<float*>(rope_.cos.data()), {max_positions_, config_.head_dim / 2}, DType::kF32});
}

tensor::Id Model::bind_sin(tensor::Tape& tape) const {
  return tape.external(
      {const_cast<float*>(rope_.sin.data()), {max_positions_, config_.head_dim / 2}, DType::kF32});
}

}  // namespace belay::model
