#include "model/config_keys.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace belay::model {
namespace {

using base::Code;
using base::JsonReader;
using base::Status;
using base::unsupported;
using Keys = std::span<const std::string_view>;

constexpr std::string_view kReadKeys[] = {"architectures",
                                          "model_type",
                                          "vocab_size",
                                          "hidden_size",
                                          "intermediate_size",
                                          "num_hidden_layers",
                                          "num_attention_heads",
                                          "num_key_value_heads",
                                          "head_dim",
                                          "max_position_embeddings",
                                          "rms_norm_eps",
                                          "hidden_act",
                                          "rope_theta",
                                          "rope_scaling",
                                          "rope_parameters",
                                          "attention_bias",
                                          "mlp_bias",
                                          "tie_word_embeddings",
                                          "bos_token_id",
                                          "eos_token_id",
                                          "initializer_range",
                                          "sliding_window",
                                          "use_sliding_window",
                                          "layer_types"};

/// Cannot change what a forward pass computes: where a file came from, how other programs load,
/// run, train or label the model, and settings of text generation that older configs carried.
constexpr std::string_view kBookkeepingKeys[] = {"_name_or_path",
                                                 "name_or_path",
                                                 "_commit_hash",
                                                 "transformers_version",
                                                 "torch_dtype",
                                                 "dtype",
                                                 "transformers.js_config",
                                                 "tokenizer_class",
                                                 "is_llama_config",
                                                 "unsloth_version",
                                                 "unsloth_fixed",
                                                 "model_name",
                                                 "use_cache",
                                                 "torchscript",
                                                 "use_bfloat16",
                                                 "return_dict",
                                                 "output_attentions",
                                                 "output_hidden_states",
                                                 "_attn_implementation",
                                                 "_attn_implementation_autoset",
                                                 "attn_implementation",
                                                 "_flash_attn_2_enabled",
                                                 "attention_dropout",
                                                 "max_window_layers",
                                                 "pad_token_id",
                                                 "unk_token_id",
                                                 "sep_token_id",
                                                 "decoder_start_token_id",
                                                 "prefix",
                                                 "finetuning_task",
                                                 "id2label",
                                                 "label2id",
                                                 "num_labels",
                                                 "problem_type",
                                                 "task_specific_params",
                                                 "keys_to_ignore_at_inference",
                                                 "gradient_checkpointing",
                                                 "is_decoder",
                                                 "max_length",
                                                 "min_length",
                                                 "max_new_tokens",
                                                 "do_sample",
                                                 "early_stopping",
                                                 "num_beams",
                                                 "num_beam_groups",
                                                 "diversity_penalty",
                                                 "temperature",
                                                 "top_k",
                                                 "top_p",
                                                 "typical_p",
                                                 "repetition_penalty",
                                                 "length_penalty",
                                                 "no_repeat_ngram_size",
                                                 "encoder_no_repeat_ngram_size",
                                                 "bad_words_ids",
                                                 "num_return_sequences",
                                                 "output_scores",
                                                 "return_dict_in_generate",
                                                 "forced_bos_token_id",
                                                 "forced_eos_token_id",
                                                 "remove_invalid_values",
                                                 "exponential_decay_length_penalty",
                                                 "suppress_tokens",
                                                 "begin_suppress_tokens"};

struct FixedKey {
  std::string_view key;
  std::string_view value;  // as JSON; "null": any other value is refused
};

constexpr FixedKey kFixedKeys[] = {
    {"pretraining_tp", "1"},
    {"partial_rotary_factor", "1"},
    {"rope_interleaved", "false"},
    {"use_mrope", "false"},
    {"is_encoder_decoder", "false"},
    {"add_cross_attention", "false"},
    {"tie_encoder_decoder", "false"},
    {"chunk_size_feed_forward", "0"},
    {"cross_attention_hidden_size", "null"},
    {"pruned_heads", "{}"},
    {"quantization_config", "null"},
    {"quantization", "null"},
    {"compression_config", "null"},
    {"auto_map", "null"},
};

bool contains(const Keys& keys, std::string_view key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

Status unknown_key(const JsonReader& reader, const std::string& key, const Keys& known) {
  const auto near = base::nearest(key, {known.begin(), known.end()});
  return reader.error(Code::kUnsupported, key,
                      "is not a known key, and it may change what the model computes", "",
                      near ? "did you mean " + *near + "?"
                           : "remove it if it is bookkeeping, or use a supported model");
}

}  // namespace

Status check_config_keys(const JsonReader& root) {
  for (const std::string& key : root.keys()) {
    if (!root.has(key) || contains(kReadKeys, key) || contains(kBookkeepingKeys, key)) continue;
    const auto fixed = std::find_if(std::begin(kFixedKeys), std::end(kFixedKeys),
                                    [&](const FixedKey& row) { return row.key == key; });
    if (fixed != std::end(kFixedKeys)) {
      if (root.node().at(key) == base::json_value(fixed->value)) continue;
      return root.error(Code::kUnsupported, key, "has a value that is not implemented",
                        std::string(fixed->value));
    }
    std::vector<std::string_view> known(std::begin(kReadKeys), std::end(kReadKeys));
    for (const FixedKey& row : kFixedKeys) known.push_back(row.key);
    known.insert(known.end(), std::begin(kBookkeepingKeys), std::end(kBookkeepingKeys));
    return unknown_key(root, key, known);
  }
  return {};
}

Status check_rope_keys(const JsonReader& rope) {
  constexpr std::string_view kKeys[] = {"rope_type",
                                        "type",
                                        "rope_theta",
                                        "factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "partial_rotary_factor"};
  for (const std::string& key : rope.keys()) {
    if (rope.has(key) && !contains(kKeys, key)) return unknown_key(rope, key, kKeys);
  }
  BELAY_ASSIGN_OR_RETURN(const double part, rope.optional_double("partial_rotary_factor", 0, 1, 1));
  if (part == 1) return {};
  return rope.error(Code::kUnsupported, "partial_rotary_factor",
                    "has a value that is not implemented", "1");
}

}  // namespace belay::model
