// A conversation as it stands: messages in the form that templates and training data have, and what
// can be done to them. No input, no output, no model.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace belay::cli {

class Conversation {
 public:
  using Json = nlohmann::ordered_json;

  /// An array of {"role", "content"}; an answer may have "reasoning_content".
  const Json& messages() const { return messages_; }
  /// Messages but the system's.
  std::size_t size() const;

  /// The first message; an empty text takes it away.
  void set_system(std::string_view text);
  void add_user(std::string_view text);
  void add_answer(std::string_view text, std::string_view thinking);
  /// Takes back the last user's message and what followed it: its text. Nothing where there is
  /// none.
  std::optional<std::string> undo();
  /// Everything but the system's message.
  void reset();

  /// One line of JSON, as training data has conversations: {"messages": [...]}.
  std::string to_line() const;
  /// From such a line, or from one message a line. `name` is what messages call the text.
  static base::Result<Conversation> parse(std::string_view text, const std::string& name);

 private:
  bool has_system() const;
  Json messages_ = Json::array();
};

}  // namespace belay::cli
