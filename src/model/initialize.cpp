// First weights: the draws of the weight table and, on top of them where it is asked for, an
// attention that copies from the context before anything is learned.
#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "model/model.h"
#include "ops/matmul.h"

namespace belay::model {
namespace {

constexpr double kEmbeddingMean = 0.5;  // of an embedding's elements, over their deviation
constexpr double kPreviousToken = 4;    // the constant part of a query or key, over the drawn part
constexpr double kMatch = 4;            // queries and keys that match, over drawn ones
constexpr double kCopy = 1;             // what an induction head writes, over what it reads
constexpr std::int64_t kMostHeads = 2;  // of each kind; of a layer's heads at most half

void draw(base::Context& ctx, const WeightSpec& w, const base::Rng& rng, float* p) {
  const auto std = static_cast<float>(w.init_std);
  ops::for_chunks(ctx, w.shape.count(), 4096, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t k = begin; k < end; ++k) {
      switch (w.init) {
        case Init::kNormal:
        case Init::kResidualNormal: p[k] = std * rng.normal(static_cast<std::uint64_t>(k)); break;
        case Init::kOnes: p[k] = 1; break;
        case Init::kZeros: p[k] = 0; break;
      }
    }
  });
}

void add(base::Context& ctx, tensor::View w, double value) {
  ops::for_chunks(ctx, w.shape.count(), 4096, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t k = begin; k < end; ++k) w.f32()[k] += static_cast<float>(value);
  });
}

/// Each row of w [out, in] less its mean: a constant in the input no longer reaches the output.
void remove_row_means(base::Context& ctx, tensor::View w) {
  const std::int64_t in = w.shape[1];
  ops::for_chunks(ctx, w.shape[0], 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* p = w.f32() + row * in;
      double sum = 0;
      for (std::int64_t k = 0; k < in; ++k) sum += p[k];
      const auto mean = static_cast<float>(sum / static_cast<double>(in));
      for (std::int64_t k = 0; k < in; ++k) p[k] -= mean;
    }
  });
}

/// Writes the heads of induction (Elhage et al., "A Mathematical Framework for Transformer
/// Circuits", 2021; Olsson et al., "In-context Learning and Induction Heads", 2022) into drawn
/// weights. In layer 0 a head looks at the token before, through what queries and keys have of a
/// constant that every embedding gets. In layer 1 a head looks for the place whose token before
/// is the present one, and writes what stands there to the residual.
class Induction {
 public:
  explicit Induction(const Model& model) : model_(model), c_(model.config()) {}

  void write(base::Context& ctx) {
    const std::int64_t heads = std::min(kMostHeads, c_.n_kv_heads / 2);
    if (heads == 0) return;
    const double std = c_.initializer_range;
    add(ctx, model_.master(index(Role::kEmbedding, -1)), kEmbeddingMean * std);
    for (std::int64_t layer = 0; layer < c_.n_layers; ++layer) {
      remove_row_means(ctx, model_.master(index(Role::kQkv, layer)));
      remove_row_means(ctx, model_.master(index(Role::kGateUp, layer)));
    }
    const std::int64_t group = c_.n_heads / c_.n_kv_heads;
    for (std::int64_t kv = 0; kv < heads; ++kv) {
      look_at_previous(kv * group, kv);
      if (c_.n_layers < 2) continue;
      match_previous(kv * group, kv);
      copy(kv * group, kv);
    }
  }

 private:
  std::size_t index(Role role, std::int64_t layer) const {
    return static_cast<std::size_t>(find_weight(model_.table(), role, layer));
  }
  float* qkv(std::int64_t layer, std::int64_t row) const {
    return model_.master(index(Role::kQkv, layer)).f32() + row * c_.hidden_size;
  }
  std::int64_t query_row(std::int64_t head) const { return head * c_.head_dim; }
  std::int64_t key_row(std::int64_t kv) const { return (c_.n_heads + kv) * c_.head_dim; }
  std::int64_t value_row(std::int64_t kv) const {
    return (c_.n_heads + c_.n_kv_heads + kv) * c_.head_dim;
  }
  /// Element (channel, j of the head) of the output matrix of attention.
  float& out(std::int64_t layer, std::int64_t channel, std::int64_t head, std::int64_t j) const {
    return model_.master(index(Role::kAttnOut, layer))
        .f32()[channel * c_.q_size() + head * c_.head_dim + j];
  }

  /// The fastest quarter of the rotary pairs: a constant key of angle 0 and a constant query turned
  /// back by one position have their greatest product when the key stands one position earlier.
  void look_at_previous(std::int64_t head, std::int64_t kv) const {
    const std::int64_t half = c_.head_dim / 2;
    const std::int64_t pairs = std::max<std::int64_t>(1, c_.head_dim / 8);
    // Deviation of a drawn query: std * sqrt(C) an element; a constant input of kEmbeddingMean.
    const double w =
        kPreviousToken * c_.initializer_range / kEmbeddingMean *
        std::sqrt(static_cast<double>(c_.head_dim) / static_cast<double>(pairs * c_.hidden_size));
    for (std::int64_t j = 0; j < pairs; ++j) {
      const double angle =
          std::pow(c_.rope_theta, -static_cast<double>(j) / static_cast<double>(half));
      for (std::int64_t k = 0; k < c_.hidden_size; ++k) {
        qkv(0, query_row(head) + j)[k] += static_cast<float>(w * std::cos(angle));
        qkv(0, query_row(head) + j + half)[k] -= static_cast<float>(w * std::sin(angle));
        qkv(0, key_row(kv) + j)[k] += static_cast<float>(w);
      }
    }
  }

  /// A query is the token as layer 0 reads it, a key is what layer 0 wrote, read back: their
  /// product is large where the token before is the present one. Only in the slowest
  /// quarter of the rotary pairs, which turn least between the two.
  void match_previous(std::int64_t head, std::int64_t kv) const {
    const std::int64_t half = c_.head_dim / 2;
    const double key_scale =
        kMatch / 2 * std::sqrt(static_cast<double>(c_.n_layers));  // written over sqrt(2 L)
    for (std::int64_t j = 0; j < c_.head_dim; ++j) {
      if (j % half < half - half / 4) continue;
      for (std::int64_t k = 0; k < c_.hidden_size; ++k) {
        qkv(1, query_row(head) + j)[k] = static_cast<float>(kMatch) * qkv(0, value_row(kv) + j)[k];
        qkv(1, key_row(kv) + j)[k] = static_cast<float>(key_scale) * out(0, k, head, j);
      }
    }
  }

  /// What a head reads is written as it was: out = drawn + value^T.
  void copy(std::int64_t head, std::int64_t kv) const {
    for (std::int64_t j = 0; j < c_.head_dim; ++j) {
      for (std::int64_t k = 0; k < c_.hidden_size; ++k) {
        out(1, k, head, j) += static_cast<float>(kCopy) * qkv(1, value_row(kv) + j)[k];
      }
    }
  }

  const Model& model_;
  const ModelConfig& c_;
};

}  // namespace

void Model::initialize(base::Context& ctx, std::uint64_t seed, FirstAttention first) {
  for (std::size_t i = 0; i < table_.size(); ++i) {
    draw(ctx, table_[i], base::Rng(seed, base::Purpose::kInit, i), master(i).f32());
  }
  if (first == FirstAttention::kInduction) Induction(*this).write(ctx);
  pack(ctx);
}

}  // namespace belay::model
