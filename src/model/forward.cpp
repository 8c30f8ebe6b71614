#include "model/forward.h"

#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/rmsnorm.h"
#include "ops/swiglu.h"

#include <tuple>

namespace belay::model {
namespace {

using tensor::Id;
using tensor::kNone;

/// The weights and inputs that every block shares.
struct Shared {
  const Model& model;
  const BatchIds& batch;
  const ForwardOptions& options;
  Id cos, sin;
};

Id attend(tensor::Tape& tape, const Shared& s, Id qkv, std::int64_t layer) {
  const ModelConfig& c = s.model.config();
  const Id turned = ops::rope(tape, qkv,
                              {.positions = s.batch.positions,
                               .cos = s.cos,
                               .sin = s.sin,
                               .q_weight = s.model.bind_vector(tape, Role::kQNorm, layer),
                               .k_weight = s.model.bind_vector(tape, Role::kKNorm, layer)},
                              {c.n_heads, c.n_kv_heads, c.head_dim, c.norm_eps});
  ops::AttentionShape shape{c.n_heads, c.n_kv_heads, c.head_dim, s.options.longest, c.window};
  if (s.options.cache == nullptr) return ops::attention(tape, turned, s.batch.docs, shape);
  const CacheIds& cache = *s.options.cache;
  shape.kv_bits = cache.kv_bits;
  return ops::attention_paged(tape, turned, cache.segments,
                              cache.pages[static_cast<std::size_t>(layer)], shape);
}

void tap(tensor::Tape& tape, const Shared& s, Id x) {
  if (s.options.taps == nullptr) return;
  s.options.taps->push_back(x);
  tape.keep(x);
}

void note_input(tensor::Tape& tape, const ForwardOptions& o, Role matrix, std::int64_t layer,
                Id x) {
  if (o.inputs == nullptr || layer < o.first_input || layer >= o.end_input) return;
  o.inputs->push_back({matrix, layer, x});
  tape.keep(x);
}

/// The product of a matrix of a layer, with its bias.
Id product(tensor::Tape& tape, const Shared& s, Role matrix, Role bias, std::int64_t layer, Id x) {
  note_input(tape, s.options, matrix, layer, x);
  return ops::linear(tape, x, s.model.bind_matrix(tape, matrix, layer),
                     s.model.bind_vector(tape, bias, layer));
}

/// x: the residual stream; delta: what the block before adds to it. Returns the same pair for the
/// next.
std::pair<Id, Id> block(tensor::Tape& tape, const Shared& s, Id x, Id delta, std::int64_t layer) {
  const Model& m = s.model;
  const float eps = m.config().norm_eps;
  const auto in =
      ops::rmsnorm(tape, x, delta, m.bind_vector(tape, Role::kAttnNorm, layer), m.compute(), eps);
  tap(tape, s, in.x);
  const Id qkv = product(tape, s, Role::kQkv, Role::kQkvBias, layer, in.h);
  const Id heads = attend(tape, s, qkv, layer);
  const Id attended = product(tape, s, Role::kAttnOut, Role::kAttnOutBias, layer, heads);
  const auto mid = ops::rmsnorm(tape, in.x, attended, m.bind_vector(tape, Role::kFfnNorm, layer),
                                m.compute(), eps);
  const Id gate_up = product(tape, s, Role::kGateUp, Role::kGateUpBias, layer, mid.h);
  const Id gated = ops::swiglu(tape, gate_up);
  const Id down = product(tape, s, Role::kDown, Role::kDownBias, layer, gated);
  return {mid.x, down};
}

}  // namespace

Id forward(tensor::Tape& tape, const Model& model, const BatchIds& batch,
           const ForwardOptions& options) {
  const ModelConfig& config = model.config();
  const Shared shared{model, batch, options, model.bind_cos(tape), model.bind_sin(tape)};
  Id x = ops::embedding(tape, batch.ids, model.bind_embedding(tape));
  Id delta = kNone;
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) {
    tape.set_recompute(options.checkpoint);
    std::tie(x, delta) = block(tape, shared, x, delta, layer);
    tape.set_recompute(false);
    if (!options.checkpoint) continue;
    tape.retain(x);
    tape.retain(delta);
  }
  const auto last = ops::rmsnorm(tape, x, delta, model.bind_vector(tape, Role::kFinalNorm),
                                 model.compute(), config.norm_eps);
  tap(tape, shared, last.x);
  note_input(tape, options, Role::kHead, -1, last.h);
  return last.h;
}

ops::Matrix bind_head(tensor::Tape& tape, const Model& model) {
  return model.bind_matrix(tape, model.config().tied_embeddings ? Role::kEmbedding : Role::kHead);
}

}  // namespace belay::model
