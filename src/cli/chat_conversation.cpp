#include "cli/chat_conversation.h"

#include "base/json.h"

namespace belay::cli {

using base::JsonReader;
using base::Result;

namespace {

using Json = Conversation::Json;

Result<Json> message_of(const JsonReader& object) {
  BELAY_ASSIGN_OR_RETURN(const std::string role, object.require_string("role"));
  BELAY_ASSIGN_OR_RETURN(const std::string content, object.optional_string("content", ""));
  BELAY_ASSIGN_OR_RETURN(const std::string thinking,
                         object.optional_string("reasoning_content", ""));
  Json message = {{"role", role}, {"content", content}};
  if (!thinking.empty()) message["reasoning_content"] = thinking;
  return message;
}

}  // namespace

bool Conversation::has_system() const {
  return !messages_.empty() && messages_[0]["role"] == "system";
}

std::size_t Conversation::size() const { return messages_.size() - (has_system() ? 1 : 0); }

void Conversation::set_system(std::string_view text) {
  if (has_system()) messages_.erase(messages_.begin());
  if (text.empty()) return;
  messages_.insert(messages_.begin(),
                   Json{{"role", "system"}, {"content", base::utf8_text(std::string(text))}});
}

void Conversation::add_user(std::string_view text) {
  messages_.push_back({{"role", "user"}, {"content", base::utf8_text(std::string(text))}});
}

void Conversation::add_answer(std::string_view text, std::string_view thinking) {
  Json message = {{"role", "assistant"}, {"content", base::utf8_text(std::string(text))}};
  if (!thinking.empty()) {
    message["reasoning_content"] = base::utf8_text(std::string(thinking));
  }
  messages_.push_back(std::move(message));
}

std::optional<std::string> Conversation::undo() {
  std::size_t at = messages_.size();
  while (at > 0 && messages_[at - 1]["role"] != "user") --at;
  if (at == 0) return std::nullopt;
  const std::string text = messages_[at - 1]["content"].get<std::string>();
  while (messages_.size() >= at) messages_.erase(messages_.end() - 1);
  return text;
}

void Conversation::reset() {
  while (size() > 0) messages_.erase(messages_.end() - 1);
}

std::string Conversation::to_line() const { return Json{{"messages", messages_}}.dump() + "\n"; }

Result<Conversation> Conversation::parse(std::string_view text, const std::string& name) {
  Conversation made;
  for (int line = 1; !text.empty(); ++line) {
    const std::string_view one = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    if (one.find_first_not_of(" \r\t") == std::string_view::npos) continue;
    BELAY_ASSIGN_OR_RETURN(const JsonReader root,
                           base::parse_json(one, name + ": line " + std::to_string(line)));
    if (!root.has("messages")) {
      BELAY_ASSIGN_OR_RETURN(Json message, message_of(root));
      made.messages_.push_back(std::move(message));
      continue;
    }
    BELAY_ASSIGN_OR_RETURN(const JsonReader list, root.require("messages"));
    if (!list.node().is_array()) {
      return root.error(base::Code::kCorrupt, "messages", "is not an array");
    }
    made.messages_ = Json::array();  // of several conversations the last one
    for (std::size_t i = 0; i < list.node().size(); ++i) {
      BELAY_ASSIGN_OR_RETURN(Json message, message_of(list.element(i)));
      made.messages_.push_back(std::move(message));
    }
  }
  if (!made.messages_.empty()) return made;
  return base::corrupt({.where = name, .what = "holds no messages"});
}

}  // namespace belay::cli
