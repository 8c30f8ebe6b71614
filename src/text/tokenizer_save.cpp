// Writes tokenizer.json and tokenizer_config.json as Hugging Face's libraries read them.
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
          {"use_regex", spec.split == Split::kGpt2}};
}

ordered_json pre_tokenizer(const TokenizerSpec& spec) {
  if (!spec.byte_level) return nullptr;
  if (spec.split == Split::kNone || spec.split == Split::kGpt2) return byte_level(spec);
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"},
             {"pattern", {{"Regex", split_regex(spec.split)}}},
             {"behavior", "Isolated"},
             {"invert", false}},
            byte_level(spec)}}};
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
  for (std::size_t i = 0; i < spec.tokens.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    if (!spec.tokens[i].empty()) add(symbols_of(spec, id), id);
  }
  for (const SpecialToken& s : spec.specials) add(s.content, s.id);
  return text + "\n}";
}

std::string merge_list(const TokenizerSpec& spec) {
  std::string text = "[";
  for (const Merge& m : spec.merges) {
    if (text.size() > 1) text += ",";
    text += "\n[" + json_string(symbols_of(spec, m.left)) + ", " +
            json_string(symbols_of(spec, m.right)) + "]";
  }
  return text + "\n]";
}

}  // namespace

// Only what this program makes itself is written from its parts (byte-level, no templates); what
// was loaded keeps its own files.
std::string tokenizer_json(const TokenizerSpec& spec) {
  BELAY_CHECK(spec.byte_level && spec.prefix.empty() && spec.suffix.empty() &&
                  spec.prepend.empty() && spec.replaces.empty() && !spec.byte_fallback,
              "a tokenizer of a form that is never made here");
  std::string text = "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n";
  text += "\"added_tokens\": " + added_tokens(spec).dump() + ",\n";
  text += spec.nfc ? "\"normalizer\": {\"type\": \"NFC\"},\n" : "\"normalizer\": null,\n";
  text += "\"pre_tokenizer\": " + pre_tokenizer(spec).dump() + ",\n";
  text += "\"post_processor\": null,\n";
  text += "\"decoder\": " + byte_level(spec).dump() + ",\n";
  text += "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, ";
  text += "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, ";
  text += "\"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": ";
  text += spec.ignore_merges ? "true" : "false";
  text += ",\n\"vocab\": " + vocabulary(spec) + ",\n\"merges\": " + merge_list(spec) + "}}\n";
  return text;
}

std::string tokenizer_config_json(const TokenizerSpec& spec) {
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                         {"clean_up_tokenization_spaces", false},
                         {"add_prefix_space", spec.add_prefix_space}};
  for (const SpecialToken& s : spec.specials) {
    if (s.content != "<|endoftext|>") continue;
    config["bos_token"] = s.content;
    config["eos_token"] = s.content;
  }
  return config.dump(2) + "\n";
}

}  // namespace belay::text
