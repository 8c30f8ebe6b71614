// Tokenizers from files and to files.
#include "base/json.h"
#include "store/gguf.h"
#include "text/ggml_vocabulary.h"
#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"

namespace belay::text {

using base::Result;
using base::Status;

namespace {
constexpr std::uint64_t kMaxFile = std::uint64_t{64} << 20;
}

Result<Tokenizer> Tokenizer::load(base::Env& env, const std::string& path) {
  const bool folder = env.is_directory(path);
  const std::string file = folder ? base::join_path(path, "tokenizer.json") : path;
  if (folder && !env.exists(file)) {
    return base::not_found({.where = path,
                            .what = "holds no tokenizer.json",
                            .next = "belay tokenizer train makes one"});
  }
  if (file.ends_with(".gguf")) {
    BELAY_ASSIGN_OR_RETURN(const store::GgufFile gguf, store::GgufFile::open(env, file));
    BELAY_ASSIGN_OR_RETURN(const GgmlVocabulary vocabulary, read_ggml_vocabulary(gguf));
    BELAY_ASSIGN_OR_RETURN(TokenizerSpec spec, spec_of_ggml(vocabulary, file));
    return make(std::move(spec), file);
  }
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(file, kMaxFile));
  if (file.ends_with(".tiktoken")) {
    BELAY_ASSIGN_OR_RETURN(TokenizerSpec ranks, parse_tiktoken(text, file));
    return make(std::move(ranks), file);
  }
  BELAY_ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_json(text, file));
  const std::string config = base::join_path(base::parent_dir(file), "tokenizer_config.json");
  if (env.exists(config)) {
    BELAY_ASSIGN_OR_RETURN(const std::string config_text, env.read_file(config, kMaxFile));
    BELAY_RETURN_IF_ERROR(parse_tokenizer_config(config_text, config, spec));
  }
  return make(std::move(spec), file);
}

Result<Tokenizer> Tokenizer::parse(std::string_view tokenizer_json, const std::string& name) {
  BELAY_ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_json(tokenizer_json, name));
  return make(std::move(spec), name);
}

Tokenizer Tokenizer::bytes() {
  TokenizerSpec spec;
  for (int b = 0; b < 256; ++b) spec.tokens.emplace_back(1, static_cast<char>(b));
  return make(std::move(spec), "bytes").value();
}

Status Tokenizer::save(base::Env& env, const std::string& folder) const {
  const TokenizerSpec spec = this->spec();
  BELAY_RETURN_IF_ERROR(env.create_dirs(folder));
  BELAY_RETURN_IF_ERROR(base::write_file_atomic(
      env, base::join_path(folder, "tokenizer_config.json"),
      spec.source_config.empty() ? tokenizer_config_json(spec) : spec.source_config));
  return base::write_file_atomic(
      env, base::join_path(folder, "tokenizer.json"),
      spec.source_json.empty() ? tokenizer_json(spec) : spec.source_json);
}

}  // namespace belay::text
