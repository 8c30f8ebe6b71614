// Writes tokenizer.json and tokenizer_config.json as Hugging Face's libraries read them.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/tokenizer_spec.h"

namespace belay::text {
namespace {

using nlohmann::ordered_json;

std::string json_string(std::string_view text) {
  return ordered_json(text).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// The token as the vocabulary of the file has it.
std::string symbols_of(const TokenizerSpec& spec, std::int32_t id) {
  const std::string& token = spec.tokens[static_cast<std::size_t>(id)];
  if (!spec.byte_level) return token;
  std::string symbols;
  for (const char c : token) symbols += byte_symbol(static_cast<std::uint8_t>(c));
  return symbols;
}

ordered_json byte_level(const TokenizerSpec& spec) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", spec.add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", spec.split == Split::kGpt2 || spec.split == Split::kDigits}};
}

/// The Splits before ByteLevel; kDigits has Digits in the first place, and GPT-2's in ByteLevel.
ordered_json pre_tokenizer(const TokenizerSpec& spec) {
  if (!spec.byte_level) return nullptr;
  if (spec.split == Split::kNone || spec.split == Split::kGpt2) return byte_level(spec);
  ordered_json list = ordered_json::array();
  std::string_view rest = split_regex(spec.split);
  while (!rest.empty()) {
    const std::string_view regex = rest.substr(0, rest.find(kNextRegex));
    rest.remove_prefix(std::min(rest.size(), regex.size() + 1));
    if (regex == split_regex(Split::kGpt2)) continue;
    if (regex == "\\p{N}") {
      list.push_back({{"type", "Digits"}, {"individual_digits", true}});
      continue;
    }
    list.push_back({{"type", "Split"},
                    {"pattern", {{"Regex", regex}}},
                    {"behavior", "Isolated"},
                    {"invert", false}});
  }
  list.push_back(byte_level(spec));
  return {{"type", "Sequence"}, {"pretokenizers", std::move(list)}};
}

ordered_json replace(const std::pair<std::string, std::string>& change) {
  return {{"type", "Replace"}, {"pattern", {{"String", change.first}}}, {"content", change.second}};
}

ordered_json sequence(const char* members, ordered_json list) {
  if (list.empty()) return nullptr;
  return {{"type", "Sequence"}, {members, std::move(list)}};
}

ordered_json normalizer(const TokenizerSpec& spec) {
  ordered_json list = ordered_json::array();
  if (!spec.prepend.empty()) list.push_back({{"type", "Prepend"}, {"prepend", spec.prepend}});
  for (const auto& change : spec.replaces) list.push_back(replace(change));
  if (spec.nfc) list.push_back({{"type", "NFC"}});
  return sequence("normalizers", std::move(list));
}

ordered_json decoder(const TokenizerSpec& spec) {
  if (spec.byte_level) return byte_level(spec);
  ordered_json list = ordered_json::array();
  for (const auto& change : spec.decode_replaces) list.push_back(replace(change));
  if (spec.decode_bytes) list.push_back({{"type", "ByteFallback"}});
  list.push_back({{"type", "Fuse"}});
  if (spec.strip_leading_space) {
    list.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return sequence("decoders", std::move(list));
}

std::string content_of(const TokenizerSpec& spec, std::int32_t id) {
  for (const SpecialToken& s : spec.specials) {
    if (s.id == id) return s.content;
  }
  return spec.tokens[static_cast<std::size_t>(id)];
}

ordered_json post_processor(const TokenizerSpec& spec) {
  if (spec.prefix.empty() && spec.suffix.empty()) return nullptr;
  ordered_json tokens = ordered_json::object();
  const auto part = [&](std::int32_t id) -> ordered_json {
    const std::string content = content_of(spec, id);
    tokens[content] = {{"id", content}, {"ids", {id}}, {"tokens", {content}}};
    return {{"SpecialToken", {{"id", content}, {"type_id", 0}}}};
  };
  ordered_json single = ordered_json::array();
  for (const std::int32_t id : spec.prefix) single.push_back(part(id));
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const std::int32_t id : spec.suffix) single.push_back(part(id));
  ordered_json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

ordered_json added_tokens(const TokenizerSpec& spec) {
  ordered_json list = ordered_json::array();
  for (const SpecialToken& s : spec.specials) {
    list.push_back({{"id", s.id},
                    {"content", s.content},
                    {"single_word", false},
                    {"lstrip", s.lstrip},
                    {"rstrip", s.rstrip},
                    {"normalized", false},
                    {"special", s.special}});
  }
  return list;
}

/// With the special tokens, as GPT-2 has it: else Hugging Face's library would number them anew.
std::string vocabulary(const TokenizerSpec& spec) {
  std::string text = "{";
  const auto add = [&text](std::string_view token, std::int32_t id) {
    text += (text.size() > 1 ? ",\n" : "\n") + json_string(token) + ": " + std::to_string(id);
  };
  std::vector<bool> special(spec.tokens.size());
  for (const SpecialToken& s : spec.specials) special[static_cast<std::size_t>(s.id)] = true;
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (!spec.tokens[i].empty() && !special[i]) add(symbols_of(spec, id), id);
  }
  for (const SpecialToken& s : spec.specials) add(s.content, s.id);
  return text + "\n}";
}

std::string merge_list(const TokenizerSpec& spec) {
  std::string text = "[";
  std::vector<Merge> merges = spec.merges;  // the file has no ranks but their order
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
  for (const Merge& m : merges) {
    if (text.size() > 1) text += ",";
    text += "\n[" + json_string(symbols_of(spec, m.left)) + ", " +
            json_string(symbols_of(spec, m.right)) + "]";
  }
  return text + "\n]";
}

}  // namespace

std::string tokenizer_json(const TokenizerSpec& spec) {
  std::string text = "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n";
  text += "\"added_tokens\": " + added_tokens(spec).dump() + ",\n";
  text += "\"normalizer\": " + normalizer(spec).dump() + ",\n";
  text += "\"pre_tokenizer\": " + pre_tokenizer(spec).dump() + ",\n";
  text += "\"post_processor\": " + post_processor(spec).dump() + ",\n";
  text += "\"decoder\": " + decoder(spec).dump() + ",\n";
  text += "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ";
  text += spec.unk ? json_string(content_of(spec, *spec.unk)) : "null";
  text += ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, ";
  const auto flag = [&](std::string_view name, bool value) {
    text += "\"" + std::string(name) + "\": " + (value ? "true" : "false");
  };
  flag("fuse_unk", spec.fuse_unk), text += ", ";
  flag("byte_fallback", spec.byte_fallback), text += ", ";
  flag("ignore_merges", spec.ignore_merges);
  text += ",\n\"vocab\": " + vocabulary(spec) + ",\n\"merges\": " + merge_list(spec) + "}}\n";
  return text;
}

std::string tokenizer_config_json(const TokenizerSpec& spec) {
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                         {"clean_up_tokenization_spaces", false},
                         {"add_prefix_space", spec.add_prefix_space}};
  const auto has = [&](std::string_view content) {
    return std::any_of(spec.specials.begin(), spec.specials.end(),
                       [&](const SpecialToken& s) { return s.content == content; });
  };
  for (const auto& [key, content] : {std::pair{"bos_token", std::string_view(spec.begin_of_text)},
                                     {"eos_token", std::string_view(spec.end_of_text)}}) {
    if (has(content)) {
      config[key] = content;
    } else if (has("<|endoftext|>")) {
      config[key] = "<|endoftext|>";
    }
  }
  if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
  return config.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace belay::text
