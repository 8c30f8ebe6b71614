#include "model/config_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/json.h"
#include "model/config_keys.h"

namespace belay::model {
namespace {

using base::Code;
using base::JsonReader;
using base::Result;
using base::Status;

constexpr Family kFamilies[] = {Family::kLlama, Family::kMistral, Family::kQwen2, Family::kQwen3};
constexpr std::string_view kArchitectures =
    "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM";

Result<Family> parse_family(const JsonReader& root, std::string_view file) {
  std::optional<Family> family;
  if (root.has("architectures")) {
    BELAY_ASSIGN_OR_RETURN(const JsonReader list, root.require("architectures"));
    BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, list.strings(16));
    for (const Family f : kFamilies) {
      if (names.size() == 1 && names.front() == architecture(f)) family = f;
    }
    if (!family) {
      const std::string seen = names.size() == 1 ? base::printable(names.front())
                                                 : std::to_string(names.size()) + " names";
      return base::unsupported({.where = std::string(file) + ": architectures",
                                .what = "names a model that is not supported",
                                .seen = seen,
                                .allowed = "one of " + std::string(kArchitectures)});
    }
  }
  BELAY_ASSIGN_OR_RETURN(const std::string type, root.optional_string("model_type", ""));
  for (const Family f : kFamilies) {
    if (!family && type == model_type(f)) family = f;
  }
  if (!family && type.empty()) {
    return root.error(Code::kCorrupt, "architectures", "is missing", std::string(kArchitectures));
  }
  if (!family) {
    return root.error(Code::kUnsupported, "model_type", "names a model that is not supported",
                      "llama, mistral, qwen2, qwen3");
  }
  if (!type.empty() && type != model_type(*family)) {
    return root.error(Code::kCorrupt, "model_type", "contradicts architectures",
                      std::string(model_type(*family)));
  }
  return *family;
}

Status parse_sizes(const JsonReader& root, ModelConfig& c) {
  struct Row {
    std::string_view key;
    std::int64_t& value;
    SizeRange range;
  };
  for (const Row& row : {Row{"vocab_size", c.vocab_size, kVocabRange},
                         Row{"hidden_size", c.hidden_size, kHiddenRange},
                         Row{"intermediate_size", c.ffn_size, kFfnRange},
                         Row{"num_hidden_layers", c.n_layers, kLayerRange},
                         Row{"num_attention_heads", c.n_heads, kHeadRange},
                         Row{"max_position_embeddings", c.max_position, kPositionRange}}) {
    BELAY_ASSIGN_OR_RETURN(row.value, root.require_int(row.key, row.range.min, row.range.max));
  }
  const auto is_null = [&](std::string_view key) {
    return root.node().contains(key) && !root.has(key);
  };
  // A missing num_key_value_heads means 8 or 32 in the classes of Mistral and Qwen: too far from
  // what a reader of the file would expect.
  if (root.has("num_key_value_heads") ||
      (c.family != Family::kLlama && !is_null("num_key_value_heads"))) {
    BELAY_ASSIGN_OR_RETURN(c.n_kv_heads,
                           root.require_int("num_key_value_heads", kHeadRange.min, c.n_heads));
  } else {
    c.n_kv_heads = c.n_heads;
  }
  if (is_null("head_dim") && c.family == Family::kQwen3) {
    return root.error(Code::kCorrupt, "head_dim", "is null", "a number, or leave it out for 128");
  }
  if (root.has("head_dim")) {
    BELAY_ASSIGN_OR_RETURN(c.head_dim,
                           root.require_int("head_dim", kHeadDimRange.min, kHeadDimRange.max));
  } else if (c.family == Family::kQwen3) {
    c.head_dim = 128;
  } else if (c.hidden_size % c.n_heads != 0) {
    return root.error(Code::kCorrupt, "hidden_size", "is not a multiple of num_attention_heads",
                      "a multiple of " + std::to_string(c.n_heads), "or give head_dim");
  } else {
    c.head_dim = c.hidden_size / c.n_heads;
  }
  return {};
}

Status parse_llama3(const JsonReader& rope, ModelConfig& c) {
  Llama3Rope scaling;
  BELAY_ASSIGN_OR_RETURN(scaling.factor, rope.require_double("factor", 1, 1e6));
  BELAY_ASSIGN_OR_RETURN(scaling.low_freq_factor,
                         rope.require_double("low_freq_factor", 1e-6, 1e6));
  BELAY_ASSIGN_OR_RETURN(scaling.high_freq_factor,
                         rope.require_double("high_freq_factor", 1e-6, 1e6));
  BELAY_ASSIGN_OR_RETURN(
      scaling.original_max_position,
      rope.require_int("original_max_position_embeddings", kPositionRange.min, kPositionRange.max));
  if (scaling.low_freq_factor >= scaling.high_freq_factor) {
    return rope.error(Code::kCorrupt, "low_freq_factor", "is not below high_freq_factor",
                      "below " + nlohmann::json(scaling.high_freq_factor).dump());
  }
  c.llama3_rope = scaling;
  return {};
}

/// transformers 4 writes rope_theta and rope_scaling, 5 writes rope_parameters with rope_theta
/// inside.
Status parse_rope(const JsonReader& root, ModelConfig& c) {
  BELAY_ASSIGN_OR_RETURN(c.rope_theta, root.optional_double("rope_theta", 1, kMaxRopeTheta, 10000));
  const bool is_new = root.has("rope_parameters");
  if (is_new && root.has("rope_scaling")) {
    return root.error(Code::kCorrupt, "rope_scaling", "is given beside rope_parameters",
                      "one of them");
  }
  if (!is_new && !root.has("rope_scaling")) return {};
  BELAY_ASSIGN_OR_RETURN(const JsonReader rope,
                         root.require_object(is_new ? "rope_parameters" : "rope_scaling"));
  BELAY_RETURN_IF_ERROR(check_rope_keys(rope));
  if (rope.has("rope_theta")) {
    const double outer = c.rope_theta;
    BELAY_ASSIGN_OR_RETURN(c.rope_theta, rope.require_double("rope_theta", 1, kMaxRopeTheta));
    if (root.has("rope_theta") && outer != c.rope_theta) {
      return root.error(Code::kCorrupt, "rope_theta", "contradicts the one inside rope_parameters",
                        nlohmann::json(c.rope_theta).dump());
    }
  }
  const std::string_view key = rope.has("rope_type") ? "rope_type" : "type";
  BELAY_ASSIGN_OR_RETURN(const std::string type, rope.optional_string(key, "default"));
  if (key == "rope_type" && rope.has("type")) {
    BELAY_ASSIGN_OR_RETURN(const std::string old, rope.require_string("type"));
    if (old != type) return rope.error(Code::kCorrupt, "type", "contradicts rope_type", type);
  }
  if (type == "llama3") return parse_llama3(rope, c);
  if (type != "default") {
    return rope.error(Code::kUnsupported, key, "is a scaling that is not implemented",
                      "default, llama3");
  }
  for (const std::string_view extra : {"factor", "low_freq_factor", "high_freq_factor"}) {
    if (rope.has(extra)) {
      return rope.error(Code::kCorrupt, extra, "has no meaning without a scaling", "",
                        "give rope_type");
    }
  }
  return {};
}

/// Every layer attends alike: to all positions, or in Mistral to a window. One that no position can
/// reach past is none.
Status parse_window(const JsonReader& root, ModelConfig& c) {
  BELAY_ASSIGN_OR_RETURN(const bool use, root.optional_bool("use_sliding_window", false));
  if (use) {
    return root.error(Code::kUnsupported, "use_sliding_window", "asks for sliding-window attention",
                      "false");
  }
  if (root.has("layer_types")) {
    BELAY_ASSIGN_OR_RETURN(const JsonReader list, root.require("layer_types"));
    BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> types, list.strings(1024));
    const bool full = std::all_of(types.begin(), types.end(),
                                  [](const std::string& t) { return t == "full_attention"; });
    if (!full || types.size() != static_cast<std::size_t>(c.n_layers)) {
      return root.error(full ? Code::kCorrupt : Code::kUnsupported, "layer_types",
                        full ? "has another number of entries than num_hidden_layers"
                             : "asks for other layers than full_attention",
                        std::to_string(c.n_layers) + " times full_attention");
    }
  }
  const bool qwen = c.family == Family::kQwen2 || c.family == Family::kQwen3;
  if (qwen) return {};  // the window counts only with use_sliding_window
  if (root.has("sliding_window")) {
    BELAY_ASSIGN_OR_RETURN(const std::int64_t window,
                           root.require_int("sliding_window", 1, INT64_MAX));
    if (c.family != Family::kMistral) {
      return root.error(Code::kUnsupported, "sliding_window", "is not what this family computes",
                        "null");
    }
    if (window < c.max_position) c.window = window;
    return {};
  }
  constexpr std::int64_t kMistralDefault = 4096;
  if (c.family == Family::kMistral && !root.node().contains("sliding_window") &&
      c.max_position > kMistralDefault) {
    c.window = kMistralDefault;
  }
  return {};
}

Status parse_flags(const JsonReader& root, ModelConfig& c) {
  BELAY_ASSIGN_OR_RETURN(const std::string act, root.optional_string("hidden_act", "silu"));
  if (act != "silu") {
    return root.error(Code::kUnsupported, "hidden_act", "is not implemented", "'silu'");
  }
  BELAY_ASSIGN_OR_RETURN(c.tied_embeddings, root.optional_bool("tie_word_embeddings", false));
  c.qk_norm = c.family == Family::kQwen3;
  const bool is_qwen2 = c.family == Family::kQwen2;
  BELAY_ASSIGN_OR_RETURN(const bool bias, root.optional_bool("attention_bias", is_qwen2));
  if ((is_qwen2 && !bias) || (c.family == Family::kMistral && bias)) {
    return root.error(Code::kUnsupported, "attention_bias", "is not what this family computes",
                      is_qwen2 ? "true" : "false");
  }
  c.qkv_bias = bias;
  c.out_bias = bias && !is_qwen2;
  BELAY_ASSIGN_OR_RETURN(c.mlp_bias, root.optional_bool("mlp_bias", false));
  if (c.mlp_bias && c.family != Family::kLlama) {
    return root.error(Code::kUnsupported, "mlp_bias", "is not what this family computes", "false");
  }
  BELAY_ASSIGN_OR_RETURN(const double eps,
                         root.optional_double("rms_norm_eps", 0, kMaxNormEps, 1e-6));
  c.norm_eps = static_cast<float>(eps);
  BELAY_ASSIGN_OR_RETURN(c.initializer_range,
                         root.optional_double("initializer_range", 0, 10, 0.02));
  return {};
}

Status parse_token_ids(const JsonReader& root, ModelConfig& c) {
  const std::int64_t last = c.vocab_size - 1;
  BELAY_ASSIGN_OR_RETURN(const std::int64_t bos, root.optional_int("bos_token_id", 0, last, -1));
  c.bos_id = static_cast<std::int32_t>(bos);
  if (!root.has("eos_token_id")) return {};
  BELAY_ASSIGN_OR_RETURN(const JsonReader eos, root.require("eos_token_id"));
  if (!eos.node().is_array()) {
    BELAY_ASSIGN_OR_RETURN(const std::int64_t id, root.require_int("eos_token_id", 0, last));
    c.eos_id = static_cast<std::int32_t>(id);
    return {};
  }
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::int64_t> ids, eos.ints(0, last, 1024));
  if (ids.empty()) return {};
  c.eos_id = static_cast<std::int32_t>(ids.front());
  for (std::size_t i = 1; i < ids.size(); ++i) {
    c.more_eos_ids.push_back(static_cast<std::int32_t>(ids[i]));
  }
  return {};
}

/// The double with the fewest digits that rounds to the float: 1e-06, not 9.999999974752427e-07.
double shortest(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double result = 0;
  std::from_chars(text.data(), end, result);
  return result;
}

}  // namespace

Result<ModelConfig> parse_config(std::string_view text, std::string_view file) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader root,
                         base::parse_json(text, file, {.max_bytes = kMaxConfigBytes}));
  if (!root.is_object()) return root.error(Code::kCorrupt, "", "is not a JSON object");
  ModelConfig config;
  BELAY_ASSIGN_OR_RETURN(config.family, parse_family(root, file));
  BELAY_RETURN_IF_ERROR(check_config_keys(root));
  BELAY_RETURN_IF_ERROR(parse_sizes(root, config));
  BELAY_RETURN_IF_ERROR(parse_rope(root, config));
  BELAY_RETURN_IF_ERROR(parse_window(root, config));
  BELAY_RETURN_IF_ERROR(parse_flags(root, config));
  BELAY_RETURN_IF_ERROR(parse_token_ids(root, config));
  BELAY_RETURN_IF_ERROR(validate(config, file));
  return config;
}

std::string to_json(const ModelConfig& c, tensor::DType dtype) {
  const Status valid = validate(c, "config");
  BELAY_CHECK(valid.ok(), valid.message());
  nlohmann::ordered_json j;
  j["architectures"] = {architecture(c.family)};
  j["model_type"] = model_type(c.family);
  j["vocab_size"] = c.vocab_size;
  j["hidden_size"] = c.hidden_size;
  j["intermediate_size"] = c.ffn_size;
  j["num_hidden_layers"] = c.n_layers;
  j["num_attention_heads"] = c.n_heads;
  j["num_key_value_heads"] = c.n_kv_heads;
  j["head_dim"] = c.head_dim;
  j["max_position_embeddings"] = c.max_position;
  j["rms_norm_eps"] = shortest(c.norm_eps);
  j["hidden_act"] = "silu";
  j["rope_theta"] = c.rope_theta;
  j["rope_scaling"] = nullptr;
  if (c.llama3_rope) {
    j["rope_scaling"] = {
        {"rope_type", "llama3"},
        {"factor", c.llama3_rope->factor},
        {"low_freq_factor", c.llama3_rope->low_freq_factor},
        {"high_freq_factor", c.llama3_rope->high_freq_factor},
        {"original_max_position_embeddings", c.llama3_rope->original_max_position}};
  }
  if (c.family == Family::kLlama || c.family == Family::kQwen3) j["attention_bias"] = c.qkv_bias;
  if (c.family == Family::kLlama) j["mlp_bias"] = c.mlp_bias;
  if (c.family == Family::kMistral) j["sliding_window"] = nullptr;
  if (c.window > 0) j["sliding_window"] = c.window;
  if (c.family == Family::kQwen2 || c.family == Family::kQwen3) j["use_sliding_window"] = false;
  j["tie_word_embeddings"] = c.tied_embeddings;
  j["initializer_range"] = c.initializer_range;
  j["bos_token_id"] = nullptr;
  if (c.bos_id >= 0) j["bos_token_id"] = c.bos_id;
  j["eos_token_id"] = nullptr;
  if (c.eos_id >= 0) j["eos_token_id"] = c.eos_id;
  if (!c.more_eos_ids.empty()) {
    std::vector<std::int32_t> ids = {c.eos_id};
    ids.insert(ids.end(), c.more_eos_ids.begin(), c.more_eos_ids.end());
    j["eos_token_id"] = ids;
  }
  j["torch_dtype"] = dtype == tensor::DType::kBF16 ? "bfloat16" : "float32";
  return j.dump(2) + "\n";
}

}  // namespace belay::model
