#include "cli/text_model.h"

#include <algorithm>

#include "base/units.h"
#include "convert/quantize.h"
#include "store/run_record.h"

namespace belay::cli {

using base::Result;

Result<std::string> model_path(base::Env& env, const std::string& path) {
  if (!store::is_run_folder(env, path)) return path;
  const std::string folder = base::join_path(path, "model");
  if (env.exists(base::join_path(folder, "config.json"))) return folder;
  return base::not_found({.where = folder,
                          .what = "holds no model yet",
                          .next = "wait for the run's first checkpoint"});
}

Result<text::Tokenizer> open_tokenizer(base::Env& env, const std::string& path,
                                       std::int64_t vocab_size) {
  const bool gguf = model::is_gguf_path(path);
  const std::string folder = env.is_directory(path) ? path : base::parent_dir(path);
  const std::string file = gguf ? path : base::join_path(folder, "tokenizer.json");
  Result<text::Tokenizer> tokenizer = text::Tokenizer::load(env, gguf ? file : folder);
  if (!tokenizer.ok() && tokenizer.status().code() == base::Code::kNotFound) {
    if (vocab_size == 256) return text::Tokenizer::bytes();
    return base::not_found(
        {.where = file,
         .what = gguf ? "holds no tokenizer" : "does not exist",
         .allowed = "a tokenizer beside the model, or a vocabulary of 256 bytes",
         .next = gguf ? "use a file that has one" : "put the model's tokenizer.json there"});
  }
  if (!tokenizer.ok() || tokenizer->vocab_size() <= vocab_size) return tokenizer;
  return base::unsupported({.where = file,
                            .what = "has ids that the model has no embedding for",
                            .seen = std::to_string(tokenizer->vocab_size()) + " ids",
                            .allowed = "at most " + std::to_string(vocab_size),
                            .next = "use the tokenizer that the model was trained with"});
}

std::vector<std::int32_t> document_begin(const text::Tokenizer& tokenizer) {
  const std::span<const std::int32_t> prefix = tokenizer.template_prefix();
  if (!prefix.empty()) return {prefix.begin(), prefix.end()};
  if (const auto end = tokenizer.end_of_text()) return {*end};
  return {};
}

void add_quantize_option(Verb verb, int& bits) {
  verb.option("--quantize", bits,
              "Round matrices to 8 or 4 bits as they are loaded; 0: as they are stored");
}

base::Status check_quantize(int bits) {
  if (bits == 0 || bits == 8 || bits == 4) return {};
  return out_of_range("--quantize", std::to_string(bits), "0, 8, 4");
}

std::vector<std::int32_t> stop_ids(const model::ModelConfig& config,
                                   const text::Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids = config.more_eos_ids;
  if (config.eos_id >= 0) ids.push_back(config.eos_id);
  if (const auto end = tokenizer.end_of_text()) ids.push_back(*end);
  return ids;
}

void add_kv_bits_option(Verb verb, int& bits) {
  verb.option("--kv-bits", bits,
              "Hold keys and values at 8 bits, in about half the memory; 0: as they are computed");
}

base::Status check_kv_bits(int bits) {
  if (bits == 0 || bits == 8) return {};
  return out_of_range("--kv-bits", std::to_string(bits), "0, 8");
}

Result<model::Model> load_model(base::Env& env, Compute& compute,
                                const model::WeightSource& weights, std::int64_t longest,
                                int bits) {
  const std::int64_t most = weights.config().max_position;
  const std::int64_t positions = longest == 0 ? most : std::min(longest, most);
  if (bits == 0) {
    return model::load_for_inference(compute.ctx, env, weights, compute.dtype, positions);
  }
  const convert::QuantizedWeights rounded(
      compute.ctx.isa, weights,
      model::quantized_types(weights.config(), model::stored_types(weights),
                             convert::type_of_bits(bits)));
  return model::load_for_inference(compute.ctx, env, rounded, compute.dtype, positions);
}

base::Status check_engine_fits(base::Env& env, Compute& compute, const model::Model& model,
                               const infer::EngineOptions& options) {
  const infer::EngineBytes bytes = infer::engine_bytes(compute.ctx, model, options);
  const auto need = static_cast<std::uint64_t>(bytes.pages + bytes.activations);
  const std::uint64_t have = env.available_memory_bytes();
  if (have == 0 || need <= have) return {};
  return base::resource_exhausted({.where = "generation",
                                   .what = "keys, values and activations do not fit in memory",
                                   .seen = base::bytes_text(need),
                                   .allowed = base::bytes_text(have) + " available",
                                   .next = options.kv_bits == 0
                                               ? "give a smaller --context, or --kv-bits 8"
                                               : "give a smaller --context, or free memory"});
}

}  // namespace belay::cli
