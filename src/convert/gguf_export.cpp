#include "convert/gguf_export.h"

#include <algorithm>

#include "model/gguf_config.h"
#include "model/gguf_model.h"
#include "model/load.h"
#include "model/weights.h"
#include "store/gguf_writer.h"
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

BlockType file_blocks(tensor::DType dtype) {
  return dtype == tensor::DType::kQ8 ? BlockType::kQ8_0 : BlockType::kQ4_0;
}

bool keeps_blocks(const model::WeightSource& source, std::size_t index, const GgufExport& options) {
  return options.keep_blocks && tensor::is_quantized(source.type(index));
}

/// The type that most of the file is in: of the matrices of layers, the narrowest.
BlockType file_type_of(const model::WeightSource& source, const GgufExport& options) {
  const std::vector<WeightSpec> table = model::weight_table(source.config());
  BlockType type = options.type;
  for (std::size_t i = 0; i < table.size() && type != BlockType::kQ4_0; ++i) {
    if (table[i].layer >= 0 && keeps_blocks(source, i, options)) {
      type = file_blocks(source.type(i));
    }
  }
  return type;
}

void add_config(const ModelConfig& c, const std::string& title, BlockType type, GgufKeys& keys) {
  const std::string architecture(model::gguf_architecture(c.family));
  const auto key = [&](std::string_view name) { return architecture + "." + std::string(name); };
  keys.add_string("general.architecture", architecture);
  keys.add_string("general.type", "model");
  keys.add_string("general.name", title);
  keys.add_u32("general.file_type", file_type(type));
  if (ops::block_weights(type) > 1) keys.add_u32("general.quantization_version", 2);
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

constexpr std::int64_t kFloatsAtOnce = 65536;

/// A part of an entry of the weight table on its way to the file.
struct PartToWrite {
  const model::WeightSource& source;
  std::size_t index;
  WeightPart part;
  std::int64_t width;
  BlockType type;
  bool as_stored;

  /// Rows [first, first + n) of the part, in the table's order, as the blocks of the file.
  Status read(std::int64_t first, std::int64_t n, std::vector<std::byte>& blocks) const {
    const std::int64_t count = n * width;
    blocks.resize(static_cast<std::size_t>(count) / ops::block_weights(type) *
                  ops::block_bytes(type));
    if (as_stored) return source.read(index, part.row + first, n, blocks.data());
    std::vector<float> values(static_cast<std::size_t>(count));
    BELAY_RETURN_IF_ERROR(
        model::read_floats(source, index, width, part.row + first, n, values.data()));
    if (!ops::quantizable(type, values)) {
      return base::unsupported({.where = "weight " + part.hf_name,
                                .what = "holds a value too large for the type asked for",
                                .next = "export as f32"});
    }
    ops::quantize(type, values, blocks);
    return {};
  }

  /// All its rows in the file's order, some at a time.
  Status write(const store::GgufSink& sink) const {
    const ModelConfig& c = source.config();
    const bool reorder = model::rotates_neighbours(c.family) && model::is_rotated(part);
    const std::int64_t at_once =
        reorder ? c.head_dim : std::max<std::int64_t>(1, kFloatsAtOnce / width);
    std::vector<std::byte> blocks;
    for (std::int64_t row = 0; row < part.rows; row += at_once) {
      const std::int64_t n = std::min(at_once, part.rows - row);
      BELAY_RETURN_IF_ERROR(read(row, n, blocks));
      if (reorder) {
        model::reorder_heads(blocks, c.head_dim, blocks.size() / static_cast<std::size_t>(n),
                             model::HeadRows::kNeighbours);
      }
      BELAY_RETURN_IF_ERROR(sink(blocks));
    }
    return {};
  }
};

void list_tensors(const model::WeightSource& source, const GgufExport& options,
                  std::vector<GgufTensorToWrite>& tensors, GgufExported& exported) {
  const std::vector<WeightSpec> table = model::weight_table(source.config());
  for (std::size_t i = 0; i < table.size(); ++i) {
    const bool matrix = table[i].shape.rank() == 2;
    const std::int64_t width = matrix ? table[i].shape.last() : 1;
    const bool as_stored = keeps_blocks(source, i, options);
    const BlockType wanted =
        table[i].layer < 0 ? options.vocab_type.value_or(options.type) : options.type;
    const BlockType type = as_stored ? file_blocks(source.type(i)) : wanted;
    const bool whole = width % static_cast<std::int64_t>(ops::block_weights(type)) == 0;
    const BlockType stored = !matrix ? BlockType::kF32 : whole ? type : BlockType::kF16;
    for (const WeightPart& part : table[i].parts) {
      const bool f16_is_meant = options.type == BlockType::kF16 && !options.keep_blocks;
      if (matrix && stored == BlockType::kF16 && !f16_is_meant)
        exported.in_f16.push_back(part.gguf_name);
      GgufTensorToWrite tensor{.name = part.gguf_name,
                               .type_id = static_cast<std::uint32_t>(stored),
                               .dims = {part.rows},
                               .data = {}};
      if (matrix) tensor.dims.insert(tensor.dims.begin(), width);
      tensor.data = [write = PartToWrite{source, i, part, width, stored, as_stored && whole},
                     first = &part == &table[i].parts.front()](const store::GgufSink& sink) {
        if (first) BELAY_RETURN_IF_ERROR(write.source.verify(write.index));
        return write.write(sink);
      };
      tensors.push_back(std::move(tensor));
    }
  }
}

GgufTensorToWrite rope_factors(const ModelConfig& c) {
  GgufTensorToWrite tensor{
      .name = std::string(model::kRopeFactors), .type_id = 0, .dims = {c.head_dim / 2}, .data = {}};
  tensor.data = [factors = model::llama3_factors(*c.llama3_rope, c.rope_theta, c.head_dim)](
                    const store::GgufSink& sink) {
    return sink(std::as_bytes(std::span(factors)));
  };
  return tensor;
}

}  // namespace

Result<GgufExported> export_gguf(base::Env& env, const std::string& path,
                                 const model::WeightSource& source,
                                 const text::Tokenizer& tokenizer, const GgufExport& options) {
  const ModelConfig& c = source.config();
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
  add_config(c, options.name, file_type_of(source, options), keys);
  add_vocabulary(vocabulary, c, keys);
  GgufExported exported;
  std::vector<GgufTensorToWrite> tensors;
  list_tensors(source, options, tensors, exported);
  if (c.llama3_rope) tensors.push_back(rope_factors(c));
  BELAY_RETURN_IF_ERROR(store::write_gguf(env, path, keys, tensors));
  BELAY_ASSIGN_OR_RETURN(exported.bytes, env.file_size(path));
  return exported;
}

}  // namespace belay::convert
