#include "text/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace belay::text {

using base::Code;
using base::JsonReader;
using base::Result;
using base::Status;
using jinja::Value;
using nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kMaxFile = std::uint64_t{64} << 20;
constexpr std::size_t kMaxTemplates = 64;

Status check_messages(const ordered_json& messages) {
  if (!messages.is_array()) {
    return base::invalid_argument({.where = "messages", .what = "is not an array of messages"});
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ordered_json& m = messages[i];
    const bool has_role = m.is_object() && m.contains("role") && m["role"].is_string();
    if (has_role) continue;
    return base::invalid_argument({.where = "messages[" + std::to_string(i) + "]",
                                   .what = "has no role",
                                   .allowed = "an object with \"role\" and \"content\""});
  }
  return {};
}

Result<JsonReader> read_config(base::Env& env, const std::string& file) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(file, kMaxFile));
  BELAY_ASSIGN_OR_RETURN(JsonReader root, base::parse_json(text, file));
  if (!root.is_object()) return root.error(Code::kCorrupt, "", "is not a JSON object");
  return root;
}

Status no_template(const std::string& where) {
  return base::not_found({.where = where,
                          .what = "has no chat template",
                          .allowed = "chat_template.jinja, or chat_template in "
                                     "tokenizer_config.json"});
}

}  // namespace

Status ChatTemplate::add(std::string_view name, std::string source, const std::string& shown) {
  BELAY_ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::parse(source, shown));
  templates_.push_back({std::string(name), std::move(source), std::move(parsed)});
  return {};
}

Result<ChatTemplate> ChatTemplate::make(std::string_view source, const std::string& name,
                                        TokenTexts tokens) {
  ChatTemplate made;
  made.tokens_ = std::move(tokens);
  BELAY_RETURN_IF_ERROR(made.add("default", std::string(source), name));
  return made;
}

Result<ChatTemplate::TokenTexts> ChatTemplate::load_tokens(base::Env& env,
                                                           const std::string& folder) {
  TokenTexts tokens;
  const std::string file = base::join_path(folder, "tokenizer_config.json");
  if (!env.exists(file)) return tokens;
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, read_config(env, file));
  for (const char* const name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                                 "cls_token", "mask_token"}) {
    if (!root.has(name)) continue;
    BELAY_ASSIGN_OR_RETURN(const JsonReader token, root.require(name));
    if (token.is_object()) {
      BELAY_ASSIGN_OR_RETURN(std::string text, token.require_string("content"));
      tokens.emplace_back(name, std::move(text));
    } else {
      BELAY_ASSIGN_OR_RETURN(std::string text, root.require_string(name));
      tokens.emplace_back(name, std::move(text));
    }
  }
  return tokens;
}

Result<ChatTemplate> ChatTemplate::load(base::Env& env, const std::string& folder) {
  BELAY_ASSIGN_OR_RETURN(TokenTexts tokens, load_tokens(env, folder));
  const std::string file = base::join_path(folder, "chat_template.jinja");
  if (env.exists(file)) {
    BELAY_ASSIGN_OR_RETURN(const std::string source, env.read_file(file, kMaxFile));
    return make(source, file, std::move(tokens));
  }
  const std::string config = base::join_path(folder, "tokenizer_config.json");
  if (!env.exists(config)) return no_template(folder);
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, read_config(env, config));
  if (!root.has("chat_template")) return no_template(folder);
  BELAY_ASSIGN_OR_RETURN(const JsonReader value, root.require("chat_template"));
  const std::string shown = config + ": chat_template";
  if (!value.node().is_array()) {
    BELAY_ASSIGN_OR_RETURN(const std::string source, root.require_string("chat_template"));
    return make(source, shown, std::move(tokens));
  }
  if (value.node().size() > kMaxTemplates) {
    return root.error(Code::kCorrupt, "chat_template", "has too many templates",
                      "at most " + std::to_string(kMaxTemplates));
  }
  ChatTemplate made;
  made.tokens_ = std::move(tokens);
  for (std::size_t i = 0; i < value.node().size(); ++i) {
    BELAY_ASSIGN_OR_RETURN(const std::string name, value.element(i).require_string("name"));
    BELAY_ASSIGN_OR_RETURN(std::string source, value.element(i).require_string("template"));
    if (name != "default" && name != "tool_use") continue;
    BELAY_RETURN_IF_ERROR(made.add(name, std::move(source), shown + " " + name));
  }
  if (made.templates_.empty()) {
    return root.error(Code::kUnsupported, "chat_template", "has no template of a known name",
                      "default, tool_use");
  }
  return made;
}

const ChatTemplate::Named& ChatTemplate::choose(bool has_tools) const {
  const std::string_view wanted = has_tools ? "tool_use" : "default";
  for (const std::string_view name : {wanted, std::string_view("default")}) {
    const auto it = std::find_if(templates_.begin(), templates_.end(),
                                 [&](const Named& t) { return t.name == name; });
    if (it != templates_.end()) return *it;
  }
  return templates_.front();
}

Result<jinja::Rendered> ChatTemplate::render(const Chat& chat) const {
  BELAY_RETURN_IF_ERROR(check_messages(chat.messages));
  const bool has_tools = chat.tools != nullptr && !chat.tools->is_null();
  jinja::Variables variables;
  BELAY_ASSIGN_OR_RETURN(Value messages, jinja::from_json(chat.messages, "messages"));
  variables.emplace_back("messages", std::move(messages));
  for (const char* const name : {"tools", "documents"}) {
    variables.emplace_back(name, Value(jinja::None{}));
  }
  if (has_tools) {
    BELAY_ASSIGN_OR_RETURN(variables[1].second, jinja::from_json(*chat.tools, "tools"));
  }
  variables.emplace_back("add_generation_prompt", Value(chat.add_generation_prompt));
  for (const auto& [name, text] : tokens_) variables.emplace_back(name, jinja::text_value(text));
  if (chat.variables != nullptr) {
    for (const auto& [name, json] : chat.variables->items()) {
      BELAY_ASSIGN_OR_RETURN(Value value, jinja::from_json(json, base::printable(name)));
      variables.emplace_back(name, std::move(value));
    }
  }
  return choose(has_tools).parsed.render(variables, {.now_seconds = chat.now_seconds});
}

std::string_view ChatTemplate::eos_token() const {
  for (const auto& [name, text] : tokens_) {
    if (name == "eos_token") return text;
  }
  return {};
}

bool ChatTemplate::mentions(std::string_view variable) const {
  return std::any_of(templates_.begin(), templates_.end(),
                     [&](const Named& t) { return t.source.find(variable) != std::string::npos; });
}

std::vector<std::int32_t> encode_chat(const Tokenizer& tokenizer, const MarkedText& text) {
  return tokenizer.encode_with_special(text.bytes(), text.content());
}

}  // namespace belay::text
