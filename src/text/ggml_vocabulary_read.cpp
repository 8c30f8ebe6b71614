// The tokenizer's keys of a GGUF file.
#include "store/gguf.h"
#include "text/ggml_vocabulary.h"

namespace belay::text {
namespace {

using base::Result;
using base::Status;
using store::GgufFile;

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key_of(std::string_view name) { return std::string(kPrefix) + std::string(name); }

Status read_flag(const GgufFile& file, std::string_view name, std::optional<bool>& flag) {
  if (!file.has(name)) return {};
  BELAY_ASSIGN_OR_RETURN(flag, file.optional_bool(name, false));
  return {};
}

/// An id, or -1 where the key is missing or says "none" (all bits set).
Status read_id(const GgufFile& file, std::string_view name, std::int32_t& id) {
  BELAY_ASSIGN_OR_RETURN(const std::int64_t value,
                         file.optional_int(key_of(name), -1, UINT32_MAX, -1));
  if (value == static_cast<std::int64_t>(UINT32_MAX) || value < 0) return {};
  BELAY_ASSIGN_OR_RETURN(const std::int64_t known,
                         file.require_int(key_of(name), 0, kMaxVocabulary - 1));
  id = static_cast<std::int32_t>(known);
  return {};
}

}  // namespace

bool has_ggml_vocabulary(const GgufFile& file) { return file.has("tokenizer.ggml.model"); }

Result<GgmlVocabulary> read_ggml_vocabulary(const GgufFile& file) {
  if (!has_ggml_vocabulary(file)) {
    return base::not_found({.where = file.path() + ": key 'tokenizer.ggml.model'",
                            .what = "is missing: the file holds no tokenizer"});
  }
  constexpr auto kMost = static_cast<std::size_t>(kMaxVocabulary);
  GgmlVocabulary v;
  BELAY_ASSIGN_OR_RETURN(v.model, file.require_string(key_of("model")));
  BELAY_ASSIGN_OR_RETURN(v.pre, file.optional_string(key_of("pre"), ""));
  BELAY_ASSIGN_OR_RETURN(v.tokens, file.strings(key_of("tokens"), kMost));
  if (v.tokens.empty()) {
    return file.error(base::Code::kCorrupt, key_of("tokens"), "is empty", "at least one token");
  }
  if (file.has(key_of("scores"))) {
    BELAY_ASSIGN_OR_RETURN(v.scores, file.floats(key_of("scores"), kMost));
  }
  if (file.has(key_of("token_type"))) {
    BELAY_ASSIGN_OR_RETURN(const auto types, file.ints(key_of("token_type"), 0, 6, kMost));
    v.types.assign(types.begin(), types.end());
  }
  if (file.has(key_of("merges"))) {
    BELAY_ASSIGN_OR_RETURN(v.merges, file.strings(key_of("merges"), 4 * kMost));
  }
  BELAY_RETURN_IF_ERROR(read_id(file, "bos_token_id", v.bos));
  BELAY_RETURN_IF_ERROR(read_id(file, "eos_token_id", v.eos));
  BELAY_RETURN_IF_ERROR(read_id(file, "unknown_token_id", v.unk));
  BELAY_RETURN_IF_ERROR(read_flag(file, key_of("add_bos_token"), v.add_bos));
  BELAY_RETURN_IF_ERROR(read_flag(file, key_of("add_eos_token"), v.add_eos));
  BELAY_RETURN_IF_ERROR(read_flag(file, key_of("add_space_prefix"), v.add_space_prefix));
  BELAY_RETURN_IF_ERROR(read_flag(file, "belay.tokenizer.nfc", v.nfc));
  BELAY_ASSIGN_OR_RETURN(const bool trims,
                         file.optional_bool(key_of("remove_extra_whitespaces"), false));
  for (const auto& [asks, key] :
       {std::pair{trims, "remove_extra_whitespaces"},
        {file.has(key_of("precompiled_charsmap")), "precompiled_charsmap"}}) {
    if (!asks) continue;
    return file.error(base::Code::kUnsupported, key_of(key),
                      "changes text, which is not supported");
  }
  BELAY_ASSIGN_OR_RETURN(v.chat_template, file.optional_string("tokenizer.chat_template", ""));
  return v;
}

}  // namespace belay::text
