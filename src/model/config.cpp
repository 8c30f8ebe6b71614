#include "model/config.h"

#include <string>

#include "model/weights.h"

namespace belay::model {
namespace {

using base::Status;

Status out_of_range(std::string_view where, std::string_view field, std::string seen,
                    std::string allowed) {
  return base::corrupt({.where = std::string(where) + ": " + std::string(field),
                        .what = "is out of range",
                        .seen = std::move(seen),
                        .allowed = std::move(allowed)});
}

Status check_range(std::string_view where, std::string_view field, std::int64_t value,
                   SizeRange range) {
  if (value >= range.min && value <= range.max) return {};
  return out_of_range(where, field, std::to_string(value),
                      std::to_string(range.min) + " to " + std::to_string(range.max));
}

Status check_sizes(const ModelConfig& c, std::string_view where) {
  struct Row {
    std::string_view field;
    std::int64_t value;
    SizeRange range;
  };
  for (const Row& row : {Row{"vocab_size", c.vocab_size, kVocabRange},
                         Row{"hidden_size", c.hidden_size, kHiddenRange},
                         Row{"intermediate_size", c.ffn_size, kFfnRange},
                         Row{"num_hidden_layers", c.n_layers, kLayerRange},
                         Row{"num_attention_heads", c.n_heads, kHeadRange},
                         Row{"num_key_value_heads", c.n_kv_heads, kHeadRange},
                         Row{"head_dim", c.head_dim, kHeadDimRange},
                         Row{"max_position_embeddings", c.max_position, kPositionRange}}) {
    BELAY_RETURN_IF_ERROR(check_range(where, row.field, row.value, row.range));
  }
  if (c.n_heads % c.n_kv_heads != 0) {
    return out_of_range(where, "num_key_value_heads", std::to_string(c.n_kv_heads),
                        "a divisor of num_attention_heads, " + std::to_string(c.n_heads));
  }
  if (c.head_dim % 2 != 0) {
    return out_of_range(where, "head_dim", std::to_string(c.head_dim), "an even number");
  }
  return {};
}

/// A token id may be absent (-1).
Status check_token(std::string_view where, std::string_view field, std::int32_t id,
                   std::int64_t vocab_size) {
  return check_range(where, field, id, {-1, vocab_size - 1});
}

/// The flags are those that the family can say in its config.json.
Status check_flags(const ModelConfig& c, std::string_view where) {
  const auto refuse = [&](std::string_view what) {
    return base::unsupported(
        {.where = std::string(where),
         .what = std::string(architecture(c.family)) + " cannot have " + std::string(what)});
  };
  if (c.qk_norm != (c.family == Family::kQwen3)) {
    return refuse(c.qk_norm ? "QK-norm" : "no QK-norm");
  }
  if (c.mlp_bias && c.family != Family::kLlama) return refuse("MLP biases");
  if (c.llama3_rope && c.llama3_rope->low_freq_factor >= c.llama3_rope->high_freq_factor) {
    return refuse("low_freq_factor at or above high_freq_factor");
  }
  switch (c.family) {
    case Family::kLlama:
    case Family::kQwen3:
      if (c.qkv_bias != c.out_bias) return refuse("a bias on only some attention projections");
      break;
    case Family::kMistral:
      if (c.qkv_bias || c.out_bias) return refuse("attention biases");
      break;
    case Family::kQwen2:
      if (!c.qkv_bias || c.out_bias) return refuse("other attention biases than those of q, k, v");
      break;
  }
  return {};
}

}  // namespace

std::string_view architecture(Family family) {
  switch (family) {
    case Family::kLlama: return "LlamaForCausalLM";
    case Family::kMistral: return "MistralForCausalLM";
    case Family::kQwen2: return "Qwen2ForCausalLM";
    case Family::kQwen3: return "Qwen3ForCausalLM";
  }
  return "?";
}

std::string_view model_type(Family family) {
  switch (family) {
    case Family::kLlama: return "llama";
    case Family::kMistral: return "mistral";
    case Family::kQwen2: return "qwen2";
    case Family::kQwen3: return "qwen3";
  }
  return "?";
}

std::int64_t ModelConfig::n_params() const {
  std::int64_t n = 0;
  for (const WeightSpec& spec : weight_table(*this)) n += spec.shape.count();
  return n;
}

double ModelConfig::train_flops_per_token(std::int64_t context) const {
  return 6.0 * static_cast<double>(n_params()) + 6.0 * static_cast<double>(n_layers) *
                                                     static_cast<double>(q_size()) *
                                                     static_cast<double>(context);
}

Status validate(const ModelConfig& c, std::string_view where) {
  BELAY_RETURN_IF_ERROR(check_sizes(c, where));
  BELAY_RETURN_IF_ERROR(check_token(where, "bos_token_id", c.bos_id, c.vocab_size));
  BELAY_RETURN_IF_ERROR(check_token(where, "eos_token_id", c.eos_id, c.vocab_size));
  for (const std::int32_t id : c.more_eos_ids) {
    BELAY_RETURN_IF_ERROR(check_token(where, "eos_token_id", id, c.vocab_size));
  }
  if (!(c.rope_theta >= 1 && c.rope_theta <= kMaxRopeTheta)) {
    return out_of_range(where, "rope_theta", std::to_string(c.rope_theta), "1 to 1e12");
  }
  if (!(c.norm_eps >= 0 && c.norm_eps <= kMaxNormEps)) {
    return out_of_range(where, "rms_norm_eps", std::to_string(c.norm_eps), "0 to 0.1");
  }
  return check_flags(c, where);
}

}  // namespace belay::model
