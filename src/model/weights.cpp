#include "model/weights.h"

#include <cmath>

namespace belay::model {
namespace {

using tensor::Shape;

/// Names of one part under both conventions: "q_proj" and "attn_q".
struct Name {
  std::string_view hf;
  std::string_view gguf;
  std::int64_t rows;
};

class TableBuilder {
 public:
  explicit TableBuilder(const ModelConfig& config)
      : std_(config.initializer_range),
        residual_std_(config.initializer_range /
                      std::sqrt(2.0 * static_cast<double>(config.n_layers))) {}

  void set_layer(std::int64_t layer) {
    layer_ = layer;
    hf_ = "model.layers." + std::to_string(layer) + ".";
    gguf_ = "blk." + std::to_string(layer) + ".";
  }
  void leave_layers() {
    layer_ = -1;
    hf_.clear();
    gguf_.clear();
  }

  /// A matrix [sum of rows, in] made of the named parts, from top to bottom.
  void matrix(Role role, const std::vector<Name>& names, std::int64_t in,
              Init init = Init::kNormal) {
    WeightSpec spec = make(role, names, ".weight");
    spec.shape = Shape{total_rows(names), in};
    spec.init = init;
    spec.init_std = init == Init::kNormal ? std_ : residual_std_;
    spec.decay = true;
    spec.muon = layer_ >= 0;
    table_.push_back(std::move(spec));
  }
  void vector(Role role, const std::vector<Name>& names, Init init) {
    WeightSpec spec = make(role, names, init == Init::kZeros ? ".bias" : ".weight");
    spec.shape = Shape{total_rows(names)};
    spec.init = init;
    table_.push_back(std::move(spec));
  }
  std::vector<WeightSpec> take() { return std::move(table_); }

 private:
  static std::int64_t total_rows(const std::vector<Name>& names) {
    std::int64_t rows = 0;
    for (const Name& name : names) rows += name.rows;
    return rows;
  }
  WeightSpec make(Role role, const std::vector<Name>& names, std::string_view suffix) const {
    WeightSpec spec{};
    spec.role = role;
    spec.layer = layer_;
    std::int64_t row = 0;
    for (const Name& name : names) {
      spec.parts.push_back({.hf_name = hf_ + std::string(name.hf) + std::string(suffix),
                            .gguf_name = gguf_ + std::string(name.gguf) + std::string(suffix),
                            .row = row,
                            .rows = name.rows});
      row += name.rows;
    }
    return spec;
  }

  double std_, residual_std_;
  std::int64_t layer_ = -1;
  std::string hf_, gguf_;  // prefixes
  std::vector<WeightSpec> table_;
};

void add_layer(const ModelConfig& c, TableBuilder& table) {
  const std::int64_t width = c.hidden_size;
  const std::vector<Name> qkv = {{"self_attn.q_proj", "attn_q", c.q_size()},
                                 {"self_attn.k_proj", "attn_k", c.kv_size()},
                                 {"self_attn.v_proj", "attn_v", c.kv_size()}};
  const std::vector<Name> out = {{"self_attn.o_proj", "attn_output", width}};
  const std::vector<Name> gate_up = {{"mlp.gate_proj", "ffn_gate", c.ffn_size},
                                     {"mlp.up_proj", "ffn_up", c.ffn_size}};
  const std::vector<Name> down = {{"mlp.down_proj", "ffn_down", width}};

  table.vector(Role::kAttnNorm, {{"input_layernorm", "attn_norm", width}}, Init::kOnes);
  table.matrix(Role::kQkv, qkv, width);
  if (c.qkv_bias) table.vector(Role::kQkvBias, qkv, Init::kZeros);
  if (c.qk_norm) {
    table.vector(Role::kQNorm, {{"self_attn.q_norm", "attn_q_norm", c.head_dim}}, Init::kOnes);
    table.vector(Role::kKNorm, {{"self_attn.k_norm", "attn_k_norm", c.head_dim}}, Init::kOnes);
  }
  table.matrix(Role::kAttnOut, out, c.q_size(), Init::kResidualNormal);
  if (c.out_bias) table.vector(Role::kAttnOutBias, out, Init::kZeros);
  table.vector(Role::kFfnNorm, {{"post_attention_layernorm", "ffn_norm", width}}, Init::kOnes);
  table.matrix(Role::kGateUp, gate_up, width);
  if (c.mlp_bias) table.vector(Role::kGateUpBias, gate_up, Init::kZeros);
  table.matrix(Role::kDown, down, c.ffn_size, Init::kResidualNormal);
  if (c.mlp_bias) table.vector(Role::kDownBias, down, Init::kZeros);
}

}  // namespace

std::vector<WeightSpec> weight_table(const ModelConfig& c) {
  TableBuilder table(c);
  table.matrix(Role::kEmbedding, {{"model.embed_tokens", "token_embd", c.vocab_size}},
               c.hidden_size);
  for (std::int64_t layer = 0; layer < c.n_layers; ++layer) {
    table.set_layer(layer);
    add_layer(c, table);
  }
  table.leave_layers();
  table.vector(Role::kFinalNorm, {{"model.norm", "output_norm", c.hidden_size}}, Init::kOnes);
  if (!c.tied_embeddings) {
    table.matrix(Role::kHead, {{"lm_head", "output", c.vocab_size}}, c.hidden_size);
  }
  return table.take();
}

int find_weight(const std::vector<WeightSpec>& table, Role role, std::int64_t layer) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].role == role && table[i].layer == layer) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace belay::model
