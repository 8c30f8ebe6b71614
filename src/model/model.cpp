#include "model/model.h"

#include <algorithm>
#include <cstring>

#include "base/rng.h"
#include "base/status.h"
#include "ops/matmul.h"

namespace belay::model {
namespace {

using tensor::DType;
using tensor::View;

bool is_matrix(const WeightSpec& w) { return w.shape.rank() == 2; }

/// The embedding is packed only where it is the output layer too.
bool is_packed(const WeightSpec& w, const ModelConfig& config) {
  return is_matrix(w) && (w.role != Role::kEmbedding || config.tied_embeddings);
}

struct Sizes {
  std::int64_t floats = 0, forward = 0, backward = 0;
};

Sizes sizes_of(const std::vector<WeightSpec>& table, const ModelConfig& config, DType compute) {
  Sizes s;
  for (const WeightSpec& w : table) {
    s.floats += ops::round_up(w.shape.count(), 16);
    if (!is_packed(w, config)) continue;
    const std::int64_t bytes = tensor::dtype_bytes(compute);
    s.forward += ops::packed_forward_shape(w.shape[0], w.shape[1]).count() * bytes;
    s.backward += ops::packed_backward_shape(w.shape[0], w.shape[1]).count() * bytes;
  }
  return s;
}

}  // namespace

ModelBytes model_bytes(const ModelConfig& config, DType compute, bool trained) {
  const Sizes s = sizes_of(weight_table(config), config, compute);
  return {4 * s.floats, trained ? 4 * s.floats : 0, s.forward + (trained ? s.backward : 0)};
}

Model::Model(const ModelConfig& config, DType compute, bool trained, std::int64_t max_positions)
    : config_(config),
      table_(weight_table(config)),
      compute_(compute),
      trained_(trained),
      max_positions_(max_positions),
      frozen_(table_.size(), false) {
  std::int64_t forward = 0, backward = 0;
  for (const WeightSpec& w : table_) {
    offset_.push_back(n_floats_);
    n_floats_ += ops::round_up(w.shape.count(), 16);
    packed_forward_.push_back(is_packed(w, config) ? forward : -1);
    packed_backward_.push_back(is_packed(w, config) ? backward : -1);
    if (!is_packed(w, config)) continue;
    const std::int64_t bytes = tensor::dtype_bytes(compute);
    forward += ops::packed_forward_shape(w.shape[0], w.shape[1]).count() * bytes;
    backward += ops::packed_backward_shape(w.shape[0], w.shape[1]).count() * bytes;
  }
  master_ = base::Buffer(n_floats_ * 4);
  gradient_ = base::Buffer(trained ? n_floats_ * 4 : 0);
  forward_ = base::Buffer(forward);
  backward_ = base::Buffer(trained ? backward : 0);
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (packed_forward_[i] < 0) continue;
    packing_.push_back(
        {master(i), packed(forward_, i, true), trained ? packed(backward_, i, false) : View{}});
  }
  std::optional<ops::RopeScaling> scaling;
  if (config.llama3_rope) {
    const Llama3Rope& r = *config.llama3_rope;
    scaling = ops::RopeScaling{r.factor, r.low_freq_factor, r.high_freq_factor,
                               static_cast<double>(r.original_max_position)};
  }
  rope_ = ops::rope_table(max_positions, config.head_dim, config.rope_theta, scaling);
}

void Model::initialize(base::Context& ctx, std::uint64_t seed) {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const WeightSpec& w = table_[i];
    float* p = master(i).f32();
    const std::int64_t n = w.shape.count();
    const base::Rng rng(seed, base::Purpose::kInit, i);
    ops::for_chunks(ctx, n, 4096, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t k = begin; k < end; ++k) {
        switch (w.init) {
          case Init::kNormal:
          case Init::kResidualNormal:
            p[k] = static_cast<float>(w.init_std) * rng.normal(static_cast<std::uint64_t>(k));
            break;
          case Init::kOnes: p[k] = 1; break;
          case Init::kZeros: p[k] = 0; break;
        }
      }
    });
  }
  pack(ctx);
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

View Model::master(std::size_t index) const {
  return {masters() + offset_[index], table_[index].shape, DType::kF32};
}

View Model::gradient(std::size_t index) const {
  if (!trained_) return {};
  return {gradients() + offset_[index], table_[index].shape, DType::kF32};
}

View Model::packed(const base::Buffer& buffer, std::size_t index, bool forward) const {
  const tensor::Shape& s = table_[index].shape;
  const std::int64_t at = forward ? packed_forward_[index] : packed_backward_[index];
  return {buffer.data() + at,
          forward ? ops::packed_forward_shape(s[0], s[1]) : ops::packed_backward_shape(s[0], s[1]),
          compute_};
}

ops::Matrix Model::bind_matrix(tensor::Tape& tape, Role role, std::int64_t layer) const {
  const int found = find_weight(table_, role, layer);
  BELAY_CHECK(found >= 0, "the model has that matrix");
  const auto i = static_cast<std::size_t>(found);
  ops::Matrix m;
  m.master = tape.weight(master(i), frozen_[i] ? View{} : gradient(i));
  if (packed_forward_[i] < 0) return m;
  m.forward = tape.external(packed(forward_, i, true));
  m.backward = trained_ ? tape.external(packed(backward_, i, false)) : tensor::kNone;
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
