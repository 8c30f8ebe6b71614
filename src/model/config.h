// The shape of a decoder-only transformer, as read from a Hugging Face config.json.
// One forward serves Llama, Mistral, Qwen2 and Qwen3 by the flags below.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::model {

enum class Family : std::uint8_t { kLlama, kMistral, kQwen2, kQwen3 };

/// "Qwen3ForCausalLM" and "qwen3": how config.json names a family.
std::string_view architecture(Family family);
std::string_view model_type(Family family);

/// The sizes that are accepted, from files and from options alike. With them every product of sizes
/// in the program fits in 63 bits.
struct SizeRange {
  std::int64_t min = 0, max = 0;
};
constexpr SizeRange kVocabRange{1, std::int64_t{1} << 22};
constexpr SizeRange kHiddenRange{1, std::int64_t{1} << 17};
constexpr SizeRange kFfnRange{1, std::int64_t{1} << 20};
constexpr SizeRange kLayerRange{1, 1024};
constexpr SizeRange kHeadRange{1, 1024};
constexpr SizeRange kHeadDimRange{2, 1024};
constexpr SizeRange kPositionRange{1, std::int64_t{1} << 27};
constexpr double kMaxRopeTheta = 1e12;
constexpr double kMaxNormEps = 0.1;

/// Llama 3.x frequency scaling ("rope_type": "llama3"); Hugging Face transformers,
/// modeling_rope_utils.py, _compute_llama3_parameters.
struct Llama3Rope {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4;
  std::int64_t original_max_position = 8192;
  friend bool operator==(const Llama3Rope&, const Llama3Rope&) = default;
};

struct ModelConfig {
  Family family = Family::kQwen3;
  std::int64_t vocab_size = 256;   // V
  std::int64_t hidden_size = 128;  // C
  std::int64_t ffn_size = 384;     // F
  std::int64_t n_layers = 4;       // L
  std::int64_t n_heads = 2;        // H
  std::int64_t n_kv_heads = 2;     // Hkv, divides H
  std::int64_t head_dim = 64;      // D, even
  std::int64_t max_position = 1024;
  std::int64_t window = 0;  // Mistral: a token sees itself and the window - 1 before it; 0: all
  double rope_theta = 10000;
  std::optional<Llama3Rope> llama3_rope;
  float norm_eps = 1e-6f;
  bool qk_norm = true;    // Qwen3: RMSNorm of each head of q and k before RoPE
  bool qkv_bias = false;  // Qwen2
  bool out_bias = false;  // attention output bias (Llama "attention_bias": o_proj too)
  bool mlp_bias = false;
  bool tied_embeddings = true;
  std::int32_t bos_id = -1, eos_id = -1;  // -1: none
  std::vector<std::int32_t> more_eos_ids;
  double initializer_range = 0.02;

  std::int64_t q_size() const { return n_heads * head_dim; }
  std::int64_t kv_size() const { return n_kv_heads * head_dim; }
  std::int64_t qkv_size() const { return q_size() + 2 * kv_size(); }
  /// Parameters, a tied embedding counted once.
  std::int64_t n_params() const;
  /// Training FLOPs a token: 6 N + 6 L C T (causal attention; C = n_heads * head_dim).
  double train_flops_per_token(std::int64_t context) const;
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// Every size in its range, heads and biases as the family can have them. `where` begins the
/// message; fields are named as in config.json.
base::Status validate(const ModelConfig& config, std::string_view where);

}  // namespace belay::model
