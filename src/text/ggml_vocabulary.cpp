// spec_of_ggml and ggml_of_spec; the keys of a file are read in ggml_vocabulary_read.cpp.
#include "text/ggml_vocabulary.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "text/ggml_scores.h"

namespace belay::text {
namespace {

using base::Result;
using base::Status;

/// What llama.cpp does for a name in tokenizer.ggml.pre (llama-vocab.cpp). The first row of a split
/// is the name that we write.
struct Pre {
  std::string_view name;
  Split split;
  bool ignore_merges = false;
  bool add_bos = false;
  bool nfc = false;  // of the models that have this name
};
constexpr std::array<Pre, 22> kPre = {{
    {"gpt-2", Split::kGpt2},
    {"phi-2", Split::kGpt2},
    {"mpt", Split::kGpt2},
    {"olmo", Split::kGpt2},
    {"roberta-bpe", Split::kGpt2},
    {"dbrx", Split::kCl100k},
    {"smaug-bpe", Split::kCl100k},
    {"llama-bpe", Split::kCl100k, true, true},
    {"llama3", Split::kCl100k, true, true},
    {"llama-v3", Split::kCl100k, true, true},
    {"falcon3", Split::kCl100k, true, true},
    {"qwen2", Split::kQwen2, false, false, true},
    {"deepseek-r1-qwen", Split::kQwen2, false, false, true},
    {"stablelm2", Split::kQwen2},
    {"gpt-4o", Split::kO200k},
    {"smollm", Split::kDigits},
    {"starcoder", Split::kDigits},
    {"refact", Split::kDigits},
    {"command-r", Split::kDigits},
    {"codeshell", Split::kDigits},
    {"exaone", Split::kDigits},
    {"deepseek-coder", Split::kDeepSeekCoder},
}};

Result<Pre> find_pre(const GgmlVocabulary& v, const std::string& name) {
  std::string known;
  for (const Pre& pre : kPre) {
    if (pre.name == v.pre) return pre;
    known += (known.empty() ? "" : ", ") + std::string(pre.name);
  }
  return base::unsupported({.where = name + ": key 'tokenizer.ggml.pre'",
                            .what = v.pre.empty() ? "is missing, which means a way to split text "
                                                    "that is not supported"
                                                  : "names a way to split text that is not known",
                            .seen = v.pre.empty() ? "" : base::printable(v.pre),
                            .allowed = known});
}

GgmlTokenType type_of(const GgmlVocabulary& v, std::size_t id) {
  return v.types.empty() ? GgmlTokenType::kNormal : static_cast<GgmlTokenType>(v.types[id]);
}

bool is_special(const GgmlVocabulary& v, std::size_t id) {
  const GgmlTokenType type = type_of(v, id);
  return type == GgmlTokenType::kControl || type == GgmlTokenType::kUserDefined ||
         (type == GgmlTokenType::kUnknown && static_cast<std::int32_t>(id) == v.unk);
}

void add_specials(const GgmlVocabulary& v, TokenizerSpec& spec) {
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    if (!is_special(v, id) || v.tokens[id].empty()) continue;
    const bool word = type_of(v, id) == GgmlTokenType::kUserDefined;
    spec.specials.push_back({.content = v.tokens[id],
                             .id = static_cast<std::int32_t>(id),
                             .special = !word,
                             .always = word});
  }
}

Status add_merges(const GgmlVocabulary& v, const std::string& name, TokenizerSpec& spec) {
  std::unordered_map<std::string_view, std::int32_t> ids;
  ids.reserve(v.tokens.size());
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    ids.emplace(v.tokens[id], static_cast<std::int32_t>(id));
  }
  std::string joined;
  for (const std::string& merge : v.merges) {
    // A symbol is no space, but the first one of a merge may be empty in no vocabulary.
    const std::size_t space = merge.find(' ', 1);
    if (space != std::string::npos && merge.find(' ', space + 1) == std::string::npos) {
      joined.assign(merge, 0, space).append(merge, space + 1);
      const auto left = ids.find(std::string_view(merge).substr(0, space));
      const auto right = ids.find(std::string_view(merge).substr(space + 1));
      const auto id = ids.find(joined);
      if (left != ids.end() && right != ids.end() && id != ids.end()) {
        spec.merges.push_back({left->second, right->second, id->second,
                               static_cast<std::int32_t>(spec.merges.size())});
        continue;
      }
    }
    return base::corrupt({.where = name + ": key 'tokenizer.ggml.merges': element " +
                                   std::to_string(spec.merges.size()),
                          .what = "is no pair of tokens whose concatenation is a token",
                          .seen = base::printable(merge, 60)});
  }
  return {};
}

Result<TokenizerSpec> byte_level_spec(const GgmlVocabulary& v, const std::string& name,
                                      bool& add_bos) {
  BELAY_ASSIGN_OR_RETURN(const Pre pre, find_pre(v, name));
  TokenizerSpec spec;
  spec.split = pre.split;
  spec.ignore_merges = pre.ignore_merges;
  spec.nfc = v.nfc.value_or(pre.nfc);
  spec.add_prefix_space = v.add_space_prefix.value_or(false);
  add_bos = pre.add_bos;
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string& token = v.tokens[id];
    if (type_of(v, id) == GgmlTokenType::kUnused) {
      spec.tokens.emplace_back();
      continue;
    }
    auto bytes = bytes_of_symbols(token);
    // A word may stand for a byte besides, in vocabularies that have it nowhere else.
    const bool byte = bytes && bytes->size() == 1;
    if (is_special(v, id) && !byte) bytes.reset();
    spec.tokens.push_back(bytes ? std::move(*bytes) : is_special(v, id) ? "" : token);
  }
  BELAY_RETURN_IF_ERROR(add_merges(v, name, spec));
  return spec;
}

std::vector<bool> mergeable_tokens(const GgmlVocabulary& v) {
  std::vector<bool> mergeable(v.tokens.size());
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    mergeable[id] = type_of(v, id) != GgmlTokenType::kByte;
  }
  return mergeable;
}

Result<TokenizerSpec> scored_spec(const GgmlVocabulary& v, const std::string& name) {
  if (v.scores.size() != v.tokens.size()) {
    return base::corrupt({.where = name + ": key 'tokenizer.ggml.scores'",
                          .what = "has another number of elements than there are tokens",
                          .seen = std::to_string(v.scores.size()),
                          .allowed = std::to_string(v.tokens.size())});
  }
  // Finding the ways to cut a token takes the square of its length.
  constexpr std::size_t kLongest = 512;
  for (const std::string& token : v.tokens) {
    if (token.size() <= kLongest) continue;
    return base::unsupported({.where = name + ": key 'tokenizer.ggml.tokens'",
                              .what = "holds a token that is too long",
                              .seen = std::to_string(token.size()) + " bytes",
                              .allowed = "at most " + std::to_string(kLongest)});
  }
  TokenizerSpec spec;
  spec.tokens = v.tokens;
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    if (type_of(v, id) == GgmlTokenType::kUnused) spec.tokens[id].clear();
  }
  BELAY_ASSIGN_OR_RETURN(spec.merges,
                         merges_of_scores(spec.tokens, v.scores, mergeable_tokens(v), name));
  spec.byte_level = false;
  spec.byte_fallback = true;
  spec.fuse_unk = true;
  if (v.unk >= 0) spec.unk = v.unk;
  spec.replaces = {{" ", std::string(kSentencePieceSpace)}};
  spec.decode_replaces = {{std::string(kSentencePieceSpace), " "}};
  spec.decode_bytes = true;
  spec.nfc = v.nfc.value_or(false);
  if (v.add_space_prefix.value_or(true)) {
    spec.prepend = std::string(kSentencePieceSpace);
    spec.strip_leading_space = true;
  }
  return spec;
}

/// Unused tokens at the end fill the vocabulary up to the model's and are none of ours.
std::size_t n_used(const GgmlVocabulary& v) {
  std::size_t n = v.tokens.size();
  while (n > 1 && type_of(v, n - 1) == GgmlTokenType::kUnused) --n;
  return n;
}

Status check_sizes(const GgmlVocabulary& v, const std::string& name) {
  if (!v.types.empty() && v.types.size() != v.tokens.size()) {
    return base::corrupt({.where = name + ": key 'tokenizer.ggml.token_type'",
                          .what = "has another number of elements than there are tokens",
                          .seen = std::to_string(v.types.size()),
                          .allowed = std::to_string(v.tokens.size())});
  }
  for (const auto& [key, id] : {std::pair{"bos", v.bos}, {"eos", v.eos}, {"unknown", v.unk}}) {
    if (id < static_cast<std::int64_t>(n_used(v))) continue;
    return base::corrupt({.where = name + ": key 'tokenizer.ggml." + key + "_token_id'",
                          .what = "is outside the vocabulary",
                          .seen = std::to_string(id),
                          .allowed = "0 to " + std::to_string(n_used(v) - 1)});
  }
  return {};
}

/// The token that is put before or after a text.
Status add_template(const GgmlVocabulary& v, std::string_view key, std::optional<bool> wanted,
                    bool usual, std::int32_t id, const std::string& name,
                    std::vector<std::int32_t>& side) {
  if (wanted.value_or(usual) && id >= 0) side.push_back(id);
  if (!wanted.value_or(false) || id >= 0) return {};
  return base::corrupt({.where = name + ": key 'tokenizer.ggml.add_" + std::string(key) + "_token'",
                        .what = "asks for a token that no " + std::string(key) +
                                "_token_id names, among " + std::to_string(v.tokens.size())});
}

}  // namespace

Result<TokenizerSpec> spec_of_ggml(const GgmlVocabulary& v, const std::string& name) {
  BELAY_RETURN_IF_ERROR(check_sizes(v, name));
  const bool scored = v.model == "llama";
  if (!scored && v.model != "gpt2") {
    return base::unsupported({.where = name + ": key 'tokenizer.ggml.model'",
                              .what = "names a kind of tokenizer that is not supported",
                              .seen = base::printable(v.model),
                              .allowed = "gpt2, llama"});
  }
  bool add_bos = scored;
  BELAY_ASSIGN_OR_RETURN(TokenizerSpec spec,
                         scored ? scored_spec(v, name) : byte_level_spec(v, name, add_bos));
  spec.tokens.resize(n_used(v));
  add_specials(v, spec);
  BELAY_RETURN_IF_ERROR(add_template(v, "bos", v.add_bos, add_bos, v.bos, name, spec.prefix));
  BELAY_RETURN_IF_ERROR(add_template(v, "eos", v.add_eos, false, v.eos, name, spec.suffix));
  if (v.bos >= 0) spec.begin_of_text = v.tokens[static_cast<std::size_t>(v.bos)];
  if (v.eos >= 0) spec.end_of_text = v.tokens[static_cast<std::size_t>(v.eos)];
  spec.chat_template = v.chat_template;
  return spec;
}

}  // namespace belay::text
