// A conversation as the text that a model was trained on, and that text as token ids. What comes
// from messages, tools and variables is marked as content (marked_text.h): special tokens in it are
// plain text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "text/jinja/jinja.h"
#include "text/tokenizer.h"

namespace belay::text {

/// What a template is given. Messages are objects as Hugging Face and OpenAI have them: role,
/// content, and where they apply reasoning_content, tool_calls, tool_call_id, name.
struct Chat {
  const nlohmann::ordered_json& messages;             // an array of objects with a "role"
  const nlohmann::ordered_json* tools = nullptr;      // an array of JSON schemas
  const nlohmann::ordered_json* variables = nullptr;  // an object: {"enable_thinking": false}
  bool add_generation_prompt = true;
  double now_seconds = 0;  // since 1970 UTC, for templates that print the date
};

/// Immutable; copies share.
class ChatTemplate {
 public:
  /// The tokens that templates know by name: {"bos_token", "<s>"}.
  using TokenTexts = std::vector<std::pair<std::string, std::string>>;

  /// Of a model folder: chat_template.jinja, else chat_template in tokenizer_config.json, a string
  /// or a list of {name, template} (of which "default", and "tool_use" where there are tools). The
  /// tokens come from tokenizer_config.json. kNotFound when there is no template.
  static base::Result<ChatTemplate> load(base::Env& env, const std::string& folder);
  /// From one template; `name` is what messages call it.
  static base::Result<ChatTemplate> make(std::string_view source, const std::string& name,
                                         TokenTexts tokens);
  /// The token texts of a folder's tokenizer_config.json; none where there is no such file.
  static base::Result<TokenTexts> load_tokens(base::Env& env, const std::string& folder);

  /// Fails with the message of raise_exception where the template refuses the conversation
  /// (kInvalidArgument), and where it or the conversation is not as it should be.
  base::Result<jinja::Rendered> render(const Chat& chat) const;
  /// "</s>", "<|im_end|>"; empty when unknown.
  std::string_view eos_token() const;
  /// The template looks at this variable: "enable_thinking".
  bool mentions(std::string_view variable) const;

 private:
  struct Named {
    std::string name, source;
    jinja::Template parsed;
  };
  base::Status add(std::string_view name, std::string source, const std::string& shown);
  const Named& choose(bool has_tools) const;

  std::vector<Named> templates_;  // not empty
  TokenTexts tokens_;
};

/// The ids of a rendered conversation. Stretches between special tokens are encoded as a whole,
/// whether template or content, so the ids are those of encode_with_special where the content has
/// no text of a special token.
std::vector<std::int32_t> encode_chat(const Tokenizer& tokenizer, const MarkedText& text);

}  // namespace belay::text
