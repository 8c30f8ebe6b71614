// ggml_of_spec: a tokenizer in the keys of a GGUF file.
#include <algorithm>
#include <array>

#include "text/ggml_scores.h"
#include "text/ggml_vocabulary.h"

namespace belay::text {
namespace {

using base::Result;
using base::Status;

std::int32_t find_special(const TokenizerSpec& spec, std::string_view content) {
  for (const SpecialToken& s : spec.specials) {
    if (!content.empty() && s.content == content) return s.id;
  }
  return -1;
}

Status refuse(const std::string& name, std::string_view part, std::string what, std::string seen,
              std::string allowed) {
  return base::unsupported({.where = name + ": " + std::string(part),
                            .what = std::move(what),
                            .seen = std::move(seen),
                            .allowed = std::move(allowed)});
}

/// The name that llama.cpp has for the way to split text.
Result<std::string> pre_of(const TokenizerSpec& spec, const std::string& name) {
  switch (spec.split) {
    case Split::kGpt2: return std::string("gpt-2");
    case Split::kCl100k: return std::string(spec.ignore_merges ? "llama-bpe" : "dbrx");
    case Split::kQwen2: return std::string("qwen2");
    case Split::kO200k: return std::string("gpt-4o");
    case Split::kDigits: return std::string("smollm");
    case Split::kDeepSeekCoder: return std::string("deepseek-coder");
    case Split::kNone: break;
  }
  if (spec.merges.empty()) return std::string("gpt-2");  // bytes: any way gives the same
  return refuse(name, "split", "is a way to split text that GGUF has no name for", "none",
                "gpt2, cl100k, qwen2, o200k, digits, deepseek-coder");
}

/// Before or after a text the file's keys can say one token.
Status add_template(const std::vector<std::int32_t>& ids, const std::string& name,
                    std::string_view side, std::int32_t& id, std::optional<bool>& add) {
  add = !ids.empty();
  if (ids.empty()) return {};
  if (ids.size() > 1 || (id >= 0 && id != ids.front())) {
    return refuse(name, "template", "puts other tokens around a text than GGUF can say",
                  std::to_string(ids.size()) + " ids " + std::string(side),
                  "begin- or end-of-text");
  }
  id = ids.front();
  return {};
}

Status add_byte_level(const TokenizerSpec& spec, const std::string& name, GgmlVocabulary& v) {
  v.model = "gpt2";
  BELAY_ASSIGN_OR_RETURN(v.pre, pre_of(spec, name));
  if (!spec.prepend.empty() || !spec.replaces.empty()) {
    return refuse(name, "normalizer", "is not one that GGUF can say for a byte-level tokenizer", "",
                  "none, NFC");
  }
  // llama.cpp looks a piece up before it merges for some names of `pre` and not for others.
  if (spec.ignore_merges && spec.split != Split::kCl100k && !spec.merges.empty()) {
    return refuse(name, "ignore_merges", "is not one that GGUF can say for this way to split text",
                  "true", "false");
  }
  const auto symbols = [&](std::size_t id) {
    std::string text;
    for (const char c : spec.tokens[id]) text += byte_symbol(static_cast<std::uint8_t>(c));
    return text;
  };
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) v.tokens.push_back(symbols(id));
  std::vector<Merge> merges = spec.merges;
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
  for (const Merge& m : merges) {
    v.merges.push_back(v.tokens[static_cast<std::size_t>(m.left)] + " " +
                       v.tokens[static_cast<std::size_t>(m.right)]);
  }
  if (spec.add_prefix_space) v.add_space_prefix = true;
  return {};
}

bool is_byte_token(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

Status add_scored(const TokenizerSpec& spec, const std::string& name, GgmlVocabulary& v) {
  using Replaces = std::vector<std::pair<std::string, std::string>>;
  const bool spaces = spec.replaces == Replaces{{" ", std::string(kSentencePieceSpace)}} &&
                      spec.decode_replaces == Replaces{{std::string(kSentencePieceSpace), " "}};
  const bool prefix = spec.prepend == kSentencePieceSpace;
  if (!spaces || !(prefix || spec.prepend.empty()) || prefix != spec.strip_leading_space ||
      !spec.byte_fallback || !spec.decode_bytes || spec.ignore_merges) {
    return refuse(name, "model", "is neither byte-level nor of SentencePiece's form", "",
                  "U+2581 for a space, byte fallback, merges");
  }
  v.model = "llama";
  v.pre = "default";
  v.tokens = spec.tokens;
  v.add_space_prefix = prefix;
  std::vector<bool> mergeable(v.tokens.size());
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    const bool byte = is_byte_token(v.tokens[id]);
    mergeable[id] = !byte;
    if (byte) v.types[id] = static_cast<std::int32_t>(GgmlTokenType::kByte);
  }
  BELAY_ASSIGN_OR_RETURN(v.scores, scores_of_merges(spec, mergeable, name));
  return {};
}

}  // namespace

Result<GgmlVocabulary> ggml_of_spec(const TokenizerSpec& spec, const std::string& name) {
  GgmlVocabulary v;
  v.types.assign(spec.tokens.size(), static_cast<std::int32_t>(GgmlTokenType::kNormal));
  BELAY_RETURN_IF_ERROR(spec.byte_level ? add_byte_level(spec, name, v)
                                        : add_scored(spec, name, v));
  for (const SpecialToken& s : spec.specials) {
    const auto id = static_cast<std::size_t>(s.id);
    v.tokens[id] = s.content;
    v.types[id] = static_cast<std::int32_t>(s.special ? GgmlTokenType::kControl
                                                      : GgmlTokenType::kUserDefined);
  }
  for (std::size_t id = 0; id < v.tokens.size(); ++id) {
    if (!v.tokens[id].empty()) continue;  // an id without a token
    v.tokens[id] = "[PAD" + std::to_string(id) + "]";
    v.types[id] = static_cast<std::int32_t>(GgmlTokenType::kUnused);
  }
  v.bos = find_special(spec, spec.begin_of_text);
  v.eos = find_special(spec, spec.end_of_text);
  if (v.eos < 0) v.eos = find_special(spec, "<|endoftext|>");
  BELAY_RETURN_IF_ERROR(add_template(spec.prefix, name, "before", v.bos, v.add_bos));
  BELAY_RETURN_IF_ERROR(add_template(spec.suffix, name, "after", v.eos, v.add_eos));
  if (spec.unk) {
    v.unk = *spec.unk;
    v.types[static_cast<std::size_t>(v.unk)] = static_cast<std::int32_t>(GgmlTokenType::kUnknown);
  }
  v.nfc = spec.nfc;
  v.chat_template = spec.chat_template;
  return v;
}

}  // namespace belay::text
