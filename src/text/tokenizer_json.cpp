// Reads the tokenizer.json of Hugging Face's library. Everything in it that changes what encode or
// decode give is either done exactly or refused by name.
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/json.h"
#include "text/tokenizer_spec.h"

namespace belay::text {
namespace {

using base::Code;
using base::JsonReader;
using base::Result;
using base::Status;
using nlohmann::json;

using Ids = std::unordered_map<std::string_view, std::int32_t>;

constexpr std::size_t kMaxSteps = 64;  // of a Sequence

/// The elements of an array of objects.
Result<std::vector<JsonReader>> objects(const JsonReader& parent, std::string_view key,
                                        std::size_t most) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader list, parent.require(key));
  if (!list.node().is_array() || list.node().size() > most) {
    return parent.error(Code::kCorrupt, key,
                        "is not an array of at most " + std::to_string(most) + " objects");
  }
  std::vector<JsonReader> items;
  for (const json& item : list.node()) {
    if (!item.is_object()) return parent.error(Code::kCorrupt, key, "holds what is no object");
    items.push_back(list.element(items.size()));
  }
  return items;
}

/// The steps of a normalizer, pre-tokenizer, ...: null is none, a Sequence its members.
Result<std::vector<JsonReader>> steps(const JsonReader& root, std::string_view key,
                                      std::string_view members) {
  if (!root.has(key)) return std::vector<JsonReader>{};
  BELAY_ASSIGN_OR_RETURN(const JsonReader one, root.require_object(key));
  BELAY_ASSIGN_OR_RETURN(const std::string type, one.require_string("type"));
  if (type == "Sequence") return objects(one, members, kMaxSteps);
  return std::vector<JsonReader>{one};
}

Status unsupported_type(const JsonReader& step, std::string what, std::string allowed) {
  return step.error(Code::kUnsupported, "type", "is a " + what + " that is not supported",
                    std::move(allowed));
}

/// {"String": "a"} of a Replace.
Result<std::string> literal_pattern(const JsonReader& step) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader pattern, step.require_object("pattern"));
  if (!pattern.has("String")) {
    return step.error(Code::kUnsupported, "pattern", "is no literal string", "{\"String\": ...}");
  }
  BELAY_ASSIGN_OR_RETURN(std::string text, pattern.require_string("String"));
  if (text.empty()) return step.error(Code::kCorrupt, "pattern", "is empty");
  return text;
}

Status read_normalizer(const JsonReader& root, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const auto list, steps(root, "normalizer", "normalizers"));
  for (const JsonReader& step : list) {
    BELAY_ASSIGN_OR_RETURN(const std::string type, step.require_string("type"));
    if (type == "NFC") {
      spec.nfc = true;
    } else if (type == "Prepend" && spec.replaces.empty() && !spec.nfc) {
      BELAY_ASSIGN_OR_RETURN(const std::string text, step.require_string("prepend"));
      spec.prepend = text + spec.prepend;
    } else if (type == "Replace" && !spec.nfc) {
      BELAY_ASSIGN_OR_RETURN(std::string from, literal_pattern(step));
      BELAY_ASSIGN_OR_RETURN(std::string to, step.require_string("content"));
      spec.replaces.emplace_back(std::move(from), std::move(to));
    } else {
      return unsupported_type(step, "normalizer", "Prepend, Replace, NFC, in this order");
    }
  }
  return {};
}

/// Adds the expression of a Split or Digits to those before it; `last` becomes where it stands.
Status read_split(const JsonReader& step, std::string_view type, std::string& regexes,
                  JsonReader& last) {
  std::string regex = "\\p{N}";
  if (type == "Digits") {
    BELAY_ASSIGN_OR_RETURN(const bool each, step.optional_bool("individual_digits", false));
    if (!each) {
      return step.error(Code::kUnsupported, "individual_digits", "is not supported", "true");
    }
  } else {
    BELAY_ASSIGN_OR_RETURN(last, step.require_object("pattern"));
    BELAY_ASSIGN_OR_RETURN(regex, last.require_string("Regex"));
    BELAY_ASSIGN_OR_RETURN(const std::string behavior, step.require_string("behavior"));
    BELAY_ASSIGN_OR_RETURN(const bool invert, step.optional_bool("invert", false));
    // Where an expression matches every character, these two say the same.
    const bool removed = behavior == "Removed" && invert && split_of_regex(regex).has_value();
    if (!(behavior == "Isolated" && !invert) && !removed) {
      return step.error(Code::kUnsupported, "behavior", "is not supported", "\"Isolated\"");
    }
  }
  if (!regexes.empty()) regexes += kNextRegex;
  regexes += regex;
  return {};
}

Status read_pre_tokenizer(const JsonReader& root, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const auto list, steps(root, "pre_tokenizer", "pretokenizers"));
  spec.byte_level = false;
  std::string regexes;
  JsonReader last = root;
  for (const JsonReader& step : list) {
    BELAY_ASSIGN_OR_RETURN(const std::string type, step.require_string("type"));
    if ((type == "Split" || type == "Digits") && !spec.byte_level) {
      BELAY_RETURN_IF_ERROR(read_split(step, type, regexes, last));
    } else if (type == "ByteLevel" && !spec.byte_level) {
      spec.byte_level = true;
      BELAY_ASSIGN_OR_RETURN(spec.add_prefix_space, step.optional_bool("add_prefix_space", true));
      BELAY_ASSIGN_OR_RETURN(const bool use_regex, step.optional_bool("use_regex", true));
      if (spec.add_prefix_space && !regexes.empty()) {
        return step.error(Code::kUnsupported, "add_prefix_space", "after a Split is not supported",
                          "false");
      }
      if (!use_regex) continue;
      if (!regexes.empty()) regexes += kNextRegex;
      regexes += split_regex(Split::kGpt2);
    } else {
      return unsupported_type(step, "pre-tokenizer", "Split, Digits and ByteLevel, in this order");
    }
  }
  if (regexes.empty()) return {};
  const auto split = split_of_regex(regexes);
  if (!split) {
    return last.error(
        Code::kUnsupported, last.has("Regex") ? "Regex" : "pre_tokenizer",
        "is an expression that is not known, or not after those before it",
        "those of GPT-2, cl100k, o200k, Llama 3, Qwen 2 and 3, SmolLM, DeepSeek Coder");
  }
  spec.split = *split;
  if (!spec.byte_level) {
    return root.error(Code::kUnsupported, "pre_tokenizer", "splits but is not ByteLevel",
                      "Split followed by ByteLevel");
  }
  return {};
}

/// Ids of one element of a template; nothing for the text itself.
Result<std::optional<std::vector<std::int32_t>>> template_ids(const JsonReader& processor,
                                                              const JsonReader& item) {
  if (item.has("Sequence")) return std::optional<std::vector<std::int32_t>>{};
  BELAY_ASSIGN_OR_RETURN(const JsonReader token, item.require_object("SpecialToken"));
  BELAY_ASSIGN_OR_RETURN(const std::string name, token.require_string("id"));
  BELAY_ASSIGN_OR_RETURN(const JsonReader all, processor.require_object("special_tokens"));
  BELAY_ASSIGN_OR_RETURN(const JsonReader entry, all.require_object(name));
  BELAY_ASSIGN_OR_RETURN(const JsonReader list, entry.require("ids"));
  BELAY_ASSIGN_OR_RETURN(const auto ids, list.ints(0, kMaxVocabulary - 1, 64));
  return std::optional(std::vector<std::int32_t>(ids.begin(), ids.end()));
}

Status read_post_processor(const JsonReader& root, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const auto list, steps(root, "post_processor", "processors"));
  for (const JsonReader& step : list) {
    BELAY_ASSIGN_OR_RETURN(const std::string type, step.require_string("type"));
    if (type == "ByteLevel") continue;  // trims offsets, which we do not give
    if (type != "TemplateProcessing") {
      return unsupported_type(step, "post-processor", "TemplateProcessing, ByteLevel");
    }
    BELAY_ASSIGN_OR_RETURN(const auto items, objects(step, "single", kMaxSteps));
    bool after = false;
    for (const JsonReader& item : items) {
      BELAY_ASSIGN_OR_RETURN(const auto ids, template_ids(step, item));
      if (!ids) {
        if (after) return step.error(Code::kCorrupt, "single", "holds the text twice");
        after = true;
        continue;
      }
      auto& side = after ? spec.suffix : spec.prefix;
      side.insert(side.end(), ids->begin(), ids->end());
    }
  }
  return {};
}

Status read_decoder(const JsonReader& root, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const auto list, steps(root, "decoder", "decoders"));
  for (const JsonReader& step : list) {
    BELAY_ASSIGN_OR_RETURN(const std::string type, step.require_string("type"));
    if (spec.byte_level) {
      if (type == "ByteLevel") continue;
      return unsupported_type(step, "decoder after ByteLevel", "ByteLevel");
    }
    if (type == "Replace") {
      BELAY_ASSIGN_OR_RETURN(std::string from, literal_pattern(step));
      BELAY_ASSIGN_OR_RETURN(std::string to, step.require_string("content"));
      spec.decode_replaces.emplace_back(std::move(from), std::move(to));
    } else if (type == "ByteFallback") {
      spec.decode_bytes = true;
    } else if (type == "Strip") {
      BELAY_ASSIGN_OR_RETURN(const std::string content, step.require_string("content"));
      BELAY_ASSIGN_OR_RETURN(const std::int64_t start, step.require_int("start", 0, 1 << 20));
      BELAY_ASSIGN_OR_RETURN(const std::int64_t stop, step.require_int("stop", 0, 1 << 20));
      if (content != " " || start != 1 || stop != 0) {
        return step.error(Code::kUnsupported, "", "is a Strip that is not supported",
                          "one space at the start");
      }
      spec.strip_leading_space = true;
    } else if (type != "Fuse") {
      return unsupported_type(step, "decoder", "Replace, ByteFallback, Fuse, Strip");
    }
  }
  return {};
}

Status place_token(const JsonReader& vocab, std::string_view token, std::int64_t id,
                   TokenizerSpec& spec) {
  auto& tokens = spec.tokens;
  if (tokens.size() <= static_cast<std::size_t>(id)) {
    tokens.resize(static_cast<std::size_t>(id) + 1);
  }
  std::string& place = tokens[static_cast<std::size_t>(id)];
  if (!place.empty()) {
    return vocab.error(Code::kCorrupt, token, "has the id of another token");
  }
  // A token that is no row of byte symbols (an added token in the vocabulary) stands for its text.
  if (spec.byte_level) place = bytes_of_symbols(token).value_or(std::string(token));
  if (!spec.byte_level) place = std::string(token);
  return {};
}

Result<Ids> read_vocabulary(const JsonReader& model, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader vocab, model.require_object("vocab"));
  const auto& object = vocab.node().get_ref<const json::object_t&>();
  if (static_cast<std::int64_t>(object.size()) > kMaxVocabulary) {
    return model.error(Code::kResource, "vocab", "is too large",
                       "at most " + std::to_string(kMaxVocabulary) + " tokens");
  }
  Ids ids;
  ids.reserve(object.size());
  spec.tokens.reserve(object.size());
  for (const auto& [token, value] : object) {
    if (token.empty()) return model.error(Code::kCorrupt, "vocab", "holds an empty token");
    const bool whole = value.is_number_integer() && value.get<double>() >= 0 &&
                       value.get<double>() < static_cast<double>(kMaxVocabulary);
    if (!whole) {
      return vocab.error(Code::kCorrupt, token, "is not a whole number in range",
                         "0 to " + std::to_string(kMaxVocabulary - 1));
    }
    const auto id = value.get<std::int32_t>();
    BELAY_RETURN_IF_ERROR(place_token(vocab, token, id, spec));
    ids.emplace(token, id);
  }
  return ids;
}

/// Both forms: "a b" and ["a", "b"].
std::optional<std::pair<std::string_view, std::string_view>> merge_pair(const json& item) {
  if (item.is_string()) {
    const std::string_view text = item.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      return std::nullopt;
    }
    return std::pair(text.substr(0, space), text.substr(space + 1));
  }
  if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_string()) {
    return std::nullopt;
  }
  return std::pair<std::string_view, std::string_view>(item[0].get_ref<const std::string&>(),
                                                       item[1].get_ref<const std::string&>());
}

Status read_merges(const JsonReader& model, const Ids& ids, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader list, model.require("merges"));
  if (!list.node().is_array() ||
      list.node().size() > static_cast<std::size_t>(4 * kMaxVocabulary)) {
    return model.error(Code::kCorrupt, "merges", "is not an array of merges, or too long");
  }
  spec.merges.reserve(list.node().size());
  std::string joined;
  for (const json& item : list.node()) {
    const auto fault = [&](std::string what) {
      return list.element(spec.merges.size())
          .error(Code::kCorrupt, "", std::move(what),
                 "\"a b\" or [\"a\", \"b\"] with a, b and ab in the vocabulary");
    };
    const auto pair = merge_pair(item);
    if (!pair) return fault("is no pair of tokens");
    joined.assign(pair->first).append(pair->second);
    const auto left = ids.find(pair->first), right = ids.find(pair->second), id = ids.find(joined);
    if (left == ids.end() || right == ids.end() || id == ids.end()) {
      return fault("names a token that is not in the vocabulary");
    }
    spec.merges.push_back(
        {left->second, right->second, id->second, static_cast<std::int32_t>(spec.merges.size())});
  }
  return {};
}

Status read_added_tokens(const JsonReader& root, const Ids& ids, TokenizerSpec& spec) {
  if (!root.has("added_tokens")) return {};
  BELAY_ASSIGN_OR_RETURN(const auto list, objects(root, "added_tokens", 65536));
  for (const JsonReader& item : list) {
    SpecialToken token;
    BELAY_ASSIGN_OR_RETURN(token.content, item.require_string("content"));
    BELAY_ASSIGN_OR_RETURN(const std::int64_t id, item.require_int("id", 0, kMaxVocabulary - 1));
    BELAY_ASSIGN_OR_RETURN(token.special, item.optional_bool("special", false));
    BELAY_ASSIGN_OR_RETURN(token.lstrip, item.optional_bool("lstrip", false));
    BELAY_ASSIGN_OR_RETURN(token.rstrip, item.optional_bool("rstrip", false));
    BELAY_ASSIGN_OR_RETURN(const bool single_word, item.optional_bool("single_word", false));
    if (single_word) {
      return item.error(Code::kUnsupported, "single_word", "is not supported", "false");
    }
    if (token.content.empty()) return item.error(Code::kCorrupt, "content", "is empty");
    const auto known = ids.find(token.content);
    token.id = static_cast<std::int32_t>(id);
    const auto place = static_cast<std::size_t>(id);
    const bool taken = place < spec.tokens.size() && !spec.tokens[place].empty();
    if (known != ids.end() ? known->second != token.id : taken) {
      return item.error(Code::kCorrupt, "id", "contradicts the vocabulary");
    }
    if (spec.tokens.size() <= place) spec.tokens.resize(place + 1);
    spec.specials.push_back(std::move(token));
  }
  return {};
}

/// One text, or a list of {name, template}, of which "default" counts.
Status read_chat_template(const JsonReader& root, TokenizerSpec& spec) {
  if (!root.has("chat_template")) return {};
  BELAY_ASSIGN_OR_RETURN(const JsonReader one, root.require("chat_template"));
  if (!one.node().is_array()) {
    BELAY_ASSIGN_OR_RETURN(spec.chat_template, root.require_string("chat_template"));
    return {};
  }
  BELAY_ASSIGN_OR_RETURN(const auto list, objects(root, "chat_template", 64));
  for (const JsonReader& item : list) {
    BELAY_ASSIGN_OR_RETURN(const std::string name, item.require_string("name"));
    if (name != "default") continue;
    BELAY_ASSIGN_OR_RETURN(spec.chat_template, item.require_string("template"));
  }
  return {};
}

Status read_model(const JsonReader& root, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader model, root.require_object("model"));
  BELAY_ASSIGN_OR_RETURN(const std::string type, model.optional_string("type", "BPE"));
  if (type != "BPE") return unsupported_type(model, "tokenizer class", "BPE");
  for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    BELAY_ASSIGN_OR_RETURN(const std::string text, model.optional_string(affix, ""));
    if (!text.empty()) return model.error(Code::kUnsupported, affix, "is not supported", "\"\"");
  }
  BELAY_ASSIGN_OR_RETURN(const double dropout, model.optional_double("dropout", 0, 1, 0));
  if (dropout > 0) return model.error(Code::kUnsupported, "dropout", "is not supported", "null");
  BELAY_ASSIGN_OR_RETURN(spec.byte_fallback, model.optional_bool("byte_fallback", false));
  BELAY_ASSIGN_OR_RETURN(spec.fuse_unk, model.optional_bool("fuse_unk", false));
  BELAY_ASSIGN_OR_RETURN(spec.ignore_merges, model.optional_bool("ignore_merges", false));
  BELAY_ASSIGN_OR_RETURN(const Ids ids, read_vocabulary(model, spec));
  BELAY_ASSIGN_OR_RETURN(const std::string unk, model.optional_string("unk_token", ""));
  if (!unk.empty()) {
    const auto id = ids.find(unk);
    if (id == ids.end()) {
      return model.error(Code::kCorrupt, "unk_token", "is not in the vocabulary");
    }
    spec.unk = id->second;
  }
  BELAY_RETURN_IF_ERROR(read_merges(model, ids, spec));
  return read_added_tokens(root, ids, spec);
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text, const std::string& name) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, base::parse_json(text, name));
  for (const std::string_view key : {"truncation", "padding"}) {
    if (root.has(key)) {
      return root.error(Code::kUnsupported, key, "is not supported", "null",
                        "set it to null: texts are neither cut nor filled");
    }
  }
  TokenizerSpec spec;
  BELAY_RETURN_IF_ERROR(read_normalizer(root, spec));
  BELAY_RETURN_IF_ERROR(read_pre_tokenizer(root, spec));
  BELAY_RETURN_IF_ERROR(read_post_processor(root, spec));
  BELAY_RETURN_IF_ERROR(read_decoder(root, spec));
  BELAY_RETURN_IF_ERROR(read_model(root, spec));
  for (const auto* ids : {&spec.prefix, &spec.suffix}) {
    for (const std::int32_t id : *ids) {
      if (static_cast<std::size_t>(id) < spec.tokens.size()) continue;
      return root.error(Code::kCorrupt, "post_processor", "names an id outside the vocabulary");
    }
  }
  spec.source_json = std::string(text);
  return spec;
}

Status parse_tokenizer_config(std::string_view text, const std::string& name, TokenizerSpec& spec) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, base::parse_json(text, name));
  if (!root.is_object()) return root.error(Code::kCorrupt, "", "is not a JSON object");
  spec.source_config = std::string(text);
  for (const auto& [key, content] :
       {std::pair{"bos_token", &spec.begin_of_text}, std::pair{"eos_token", &spec.end_of_text}}) {
    if (!root.has(key)) continue;
    BELAY_ASSIGN_OR_RETURN(const JsonReader token, root.require(key));
    if (token.is_object()) {
      BELAY_ASSIGN_OR_RETURN(*content, token.require_string("content"));
    } else {
      BELAY_ASSIGN_OR_RETURN(*content, root.require_string(key));
    }
  }
  return read_chat_template(root, spec);
}

}  // namespace belay::text
