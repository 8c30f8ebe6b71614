#include "cli/text_model.h"

#include <algorithm>

#include "model/score.h"
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
  const std::string folder = env.is_directory(path) ? path : base::parent_dir(path);
  const std::string file = base::join_path(folder, "tokenizer.json");
  if (!env.exists(file)) {
    if (vocab_size == 256) return text::Tokenizer::bytes();
    return base::not_found({.where = file,
                            .what = "does not exist",
                            .allowed = "a tokenizer beside the model, or a vocabulary of 256 bytes",
                            .next = "put the model's tokenizer.json there"});
  }
  BELAY_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::load(env, folder));
  if (tokenizer.vocab_size() > vocab_size) {
    return base::unsupported({.where = file,
                              .what = "has ids that the model has no embedding for",
                              .seen = std::to_string(tokenizer.vocab_size()) + " ids",
                              .allowed = "at most " + std::to_string(vocab_size),
                              .next = "use the tokenizer that the model was trained with"});
  }
  return tokenizer;
}

std::vector<std::int32_t> document_begin(const text::Tokenizer& tokenizer) {
  const std::span<const std::int32_t> prefix = tokenizer.template_prefix();
  if (!prefix.empty()) return {prefix.begin(), prefix.end()};
  if (const auto end = tokenizer.end_of_text()) return {*end};
  return {};
}

std::vector<std::int32_t> stop_ids(const model::ModelConfig& config,
                                   const text::Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids = config.more_eos_ids;
  if (config.eos_id >= 0) ids.push_back(config.eos_id);
  if (const auto end = tokenizer.end_of_text()) ids.push_back(*end);
  return ids;
}

Result<model::Model> make_model(base::Env& env, Compute& compute, model::LoadedModel loaded,
                                std::int64_t longest) {
  const model::ModelConfig& config = loaded.config;
  BELAY_RETURN_IF_ERROR(model::check_model_fits(env, config, compute.dtype, false));
  const std::int64_t positions =
      longest == 0 ? config.max_position : std::min(longest, config.max_position);
  model::Model model(config, compute.dtype, false, positions);
  model.load(compute.ctx, loaded.weights);
  return model;
}

}  // namespace belay::cli
