#include "convert/gguf_export.h"

#include <algorithm>

#include "model/gguf_config.h"
#include "model/gguf_model.h"
#include "model/weights.h"
#include "ops/quantized.h"
#include "store/gguf_writer.h"
#include "store/safetensors.h"
#include "text/ggml_vocabulary.h"

namespace belay::convert {
namespace {

using base::Result;
using base::Status;
using model::ModelConfig;
using model::WeightPart;
using model::WeightSpec;
using ops::BlockType;
using store::GgufKeys;
using store::GgufTensorToWrite;

std::uint32_t u32(std::int64_t value) { return static_cast<std::uint32_t>(value); }

/// general.file_type, as llama.h numbers it.
std::uint32_t file_type(BlockType type) {
  switch (type) {
    case BlockType::kF16: return 1;
    case BlockType::kQ4_0: return 2;
    case BlockType::kQ8_0: return 7;
    case BlockType::kBF16: return 32;
    default: return 0;
  }
}

void add_config(const ModelConfig& c, const GgufExport& options, GgufKeys& keys) {
  const std::string architecture(model::gguf_architecture(c.family));
  const auto key = [&](std::string_view name) { return architecture + "." + std::string(name); };
  keys.add_string("general.architecture", architecture);
  keys.add_string("general.type", "model");
  keys.add_string("general.name", options.name);
  keys.add_u32("general.file_type", file_type(options.type));
  if (ops::block_weights(options.type) > 1) keys.add_u32("general.quantization_version", 2);
  keys.add_u32(key("block_count"), u32(c.n_layers));
  keys.add_u32(key("context_length"), u32(c.max_position));
  keys.add_u32(key("embedding_length"), u32(c.hidden_size));
  keys.add_u32(key("feed_forward_length"), u32(c.ffn_size));
  keys.add_u32(key("attention.head_count"), u32(c.n_heads));
  keys.add_u32(key("attention.head_count_kv"), u32(c.n_kv_heads));
  keys.add_u32(key("attention.key_length"), u32(c.head_dim));
  keys.add_u32(key("attention.value_length"), u32(c.head_dim));
  keys.add_f32(key("attention.layer_norm_rms_epsilon"), c.norm_eps);
  keys.add_u32(key("rope.dimension_count"), u32(c.head_dim));
  keys.add_f32(key("rope.freq_base"), static_cast<float>(c.rope_theta));
  keys.add_u32(key("vocab_size"), u32(c.vocab_size));
  if (!c.llama3_rope) return;
  // llama.cpp reads the factors from a tensor; these are for whoever wants the numbers back.
  keys.add_u32(key("rope.scaling.original_context_length"),
               u32(c.llama3_rope->original_max_position));
  keys.add_f32("belay.rope.llama3.factor", static_cast<float>(c.llama3_rope->factor));
  keys.add_f32("belay.rope.llama3.low_freq_factor",
               static_cast<float>(c.llama3_rope->low_freq_factor));
  keys.add_f32("belay.rope.llama3.high_freq_factor",
               static_cast<float>(c.llama3_rope->high_freq_factor));
}

/// The model may have more ids than the tokenizer; llama.cpp wants a token for each.
void pad_vocabulary(text::GgmlVocabulary& v, std::int64_t vocab_size) {
  for (auto id = v.tokens.size(); id < static_cast<std::size_t>(vocab_size); ++id) {
    v.tokens.push_back("[PAD" + std::to_string(id) + "]");
    v.types.push_back(static_cast<std::int32_t>(text::GgmlTokenType::kUnused));
    if (!v.scores.empty()) v.scores.push_back(0);
  }
}

void add_vocabulary(const text::GgmlVocabulary& v, const ModelConfig& c, GgufKeys& keys) {
  const auto key = [](std::string_view name) { return "tokenizer.ggml." + std::string(name); };
  keys.add_string(key("model"), v.model);
  keys.add_string(key("pre"), v.pre);
  keys.add_strings(key("tokens"), v.tokens);
  if (!v.scores.empty()) keys.add_f32s(key("scores"), v.scores);
  keys.add_i32s(key("token_type"), v.types);
  if (v.model == "gpt2") keys.add_strings(key("merges"), v.merges);
  // What the model says goes before what the tokenizer says, but for tokens that it adds to a text.
  const std::int32_t bos = c.bos_id < 0 || v.add_bos.value_or(false) ? v.bos : c.bos_id;
  const std::int32_t eos = c.eos_id < 0 || v.add_eos.value_or(false) ? v.eos : c.eos_id;
  if (bos >= 0) keys.add_u32(key("bos_token_id"), u32(bos));
  if (eos >= 0) keys.add_u32(key("eos_token_id"), u32(eos));
  if (!c.more_eos_ids.empty()) keys.add_u32(key("eot_token_id"), u32(c.more_eos_ids.front()));
  if (c.more_eos_ids.size() > 1) keys.add_u32(key("eom_token_id"), u32(c.more_eos_ids[1]));
  if (v.unk >= 0) keys.add_u32(key("unknown_token_id"), u32(v.unk));
  if (v.add_bos) keys.add_bool(key("add_bos_token"), *v.add_bos);
  if (v.add_eos) keys.add_bool(key("add_eos_token"), *v.add_eos);
  if (v.add_space_prefix) keys.add_bool(key("add_space_prefix"), *v.add_space_prefix);
  if (v.nfc) keys.add_bool("belay.tokenizer.nfc", *v.nfc);
  if (!v.chat_template.empty()) keys.add_string("tokenizer.chat_template", v.chat_template);
}

/// Rounds whole rows to blocks.
void round_rows(std::span<const float> rows, std::int64_t width, BlockType type,
                const GgufExport& options, std::span<std::byte> blocks) {
  if (options.types.empty() || ops::block_weights(type) == 1) {
    return ops::quantize(type, rows, blocks);
  }
  const tensor::DType dtype = type == BlockType::kQ8_0 ? tensor::DType::kQ8 : tensor::DType::kQ4;
  const auto row_bytes = static_cast<std::size_t>(tensor::stored_bytes(dtype, width));
  for (std::size_t r = 0; r * row_bytes < blocks.size(); ++r) {
    ops::quantize_row(options.isa, rows.data() + r * static_cast<std::size_t>(width), nullptr,
                      width, dtype, blocks.data() + r * row_bytes);
  }
}

/// The rows of a part in the file's order, as blocks, some rows at a time.
Status write_part(const ModelConfig& c, const WeightPart& part, std::span<const float> values,
                  std::int64_t width, BlockType type, const GgufExport& options,
                  const store::GgufSink& sink) {
  const bool reorder = model::rotates_neighbours(c.family) && model::is_rotated(part);
  const std::int64_t at_once = reorder ? c.head_dim : std::max<std::int64_t>(1, 65536 / width);
  std::vector<float> rows;
  std::vector<std::byte> blocks;
  for (std::int64_t row = 0; row < part.rows; row += at_once) {
    const std::int64_t n = std::min(at_once, part.rows - row) * width;
    const auto from = values.subspan(static_cast<std::size_t>((part.row + row) * width),
                                     static_cast<std::size_t>(n));
    rows.assign(from.begin(), from.end());
    if (reorder) model::reorder_heads(rows, c.head_dim, width, model::HeadRows::kNeighbours);
    blocks.resize(rows.size() / ops::block_weights(type) * ops::block_bytes(type));
    round_rows(rows, width, type, options, blocks);
    BELAY_RETURN_IF_ERROR(sink(blocks));
  }
  return {};
}

Status check_values(const WeightPart& part, std::span<const float> values, BlockType type) {
  BELAY_RETURN_IF_ERROR(store::check_finite(values, "weight " + part.hf_name));
  if (ops::quantizable(type, values)) return {};
  return base::unsupported({.where = "weight " + part.hf_name,
                            .what = "holds a value too large for the type asked for",
                            .next = "export as f32"});
}

Status list_tensors(const model::LoadedModel& model, const GgufExport& options,
                    std::vector<GgufTensorToWrite>& tensors, GgufExported& exported) {
  const ModelConfig& c = model.config;
  const std::vector<WeightSpec> table = model::weight_table(c);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const bool matrix = table[i].shape.rank() == 2;
    const std::int64_t width = matrix ? table[i].shape.last() : 1;
    const BlockType type = options.types.empty() ? options.type : options.types[i];
    const bool whole = width % static_cast<std::int64_t>(ops::block_weights(type)) == 0;
    const BlockType stored = !matrix ? BlockType::kF32 : whole ? type : BlockType::kF16;
    for (const WeightPart& part : table[i].parts) {
      const std::span<const float> values = model.weights[i];
      BELAY_RETURN_IF_ERROR(check_values(part, values, stored));
      if (stored != type && matrix) exported.in_f16.push_back(part.gguf_name);
      GgufTensorToWrite tensor{.name = part.gguf_name,
                               .type_id = static_cast<std::uint32_t>(stored),
                               .dims = {part.rows},
                               .data = {}};
      if (matrix) tensor.dims.insert(tensor.dims.begin(), width);
      tensor.data = [&c, &options, part, values, width, stored](const store::GgufSink& sink) {
        return write_part(c, part, values, width, stored, options, sink);
      };
      tensors.push_back(std::move(tensor));
    }
  }
  return {};
}

GgufTensorToWrite rope_factors(const ModelConfig& c) {
  GgufTensorToWrite tensor{
      .name = "rope_freqs.weight", .type_id = 0, .dims = {c.head_dim / 2}, .data = {}};
  tensor.data = [factors = model::llama3_factors(*c.llama3_rope, c.rope_theta, c.head_dim)](
                    const store::GgufSink& sink) {
    return sink(std::as_bytes(std::span(factors)));
  };
  return tensor;
}

}  // namespace

Result<GgufExported> export_gguf(base::Env& env, const std::string& path,
                                 const model::LoadedModel& model, const text::Tokenizer& tokenizer,
                                 const GgufExport& options) {
  const ModelConfig& c = model.config;
  if (c.window > 0) {  // the architecture "llama" would attend to everything
    return base::unsupported({.where = "sliding_window",
                              .what = "has no key in GGUF's form of this family",
                              .seen = std::to_string(c.window),
                              .next = "export it with --to hf"});
  }
  if (c.more_eos_ids.size() > 2) {
    return base::unsupported({.where = "eos_token_id",
                              .what = "names more ids than GGUF has keys for",
                              .seen = std::to_string(c.more_eos_ids.size() + 1),
                              .allowed = "at most 3"});
  }
  if (tokenizer.vocab_size() > c.vocab_size) {
    return base::unsupported({.where = "tokenizer",
                              .what = "has ids that the model has no embedding for",
                              .seen = std::to_string(tokenizer.vocab_size()) + " ids",
                              .allowed = "at most " + std::to_string(c.vocab_size)});
  }
  BELAY_ASSIGN_OR_RETURN(text::GgmlVocabulary vocabulary,
                         text::ggml_of_spec(tokenizer.spec(), "tokenizer"));
  pad_vocabulary(vocabulary, c.vocab_size);
  GgufKeys keys;
  add_config(c, options, keys);
  add_vocabulary(vocabulary, c, keys);
  GgufExported exported;
  std::vector<GgufTensorToWrite> tensors;
  BELAY_RETURN_IF_ERROR(list_tensors(model, options, tensors, exported));
  if (c.llama3_rope) tensors.push_back(rope_factors(c));
  BELAY_RETURN_IF_ERROR(store::write_gguf(env, path, keys, tensors));
  BELAY_ASSIGN_OR_RETURN(exported.bytes, env.file_size(path));
  return exported;
}

}  // namespace belay::convert
