// An answer on its way to the terminal: thoughts dim, words whole at the end of a line. In a pipe:
// only what the model says.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "text/thinking.h"
#include "text/utf8_stream.h"

namespace belay::cli {

class AnswerView {
 public:
  using Write = std::function<void(std::string_view)>;
  /// begins_inside: the prompt ended with <think>. Without `write` nothing is shown.
  AnswerView(Write write, bool terminal, bool begins_inside);

  void push(std::string_view token_bytes);
  void finish();

  /// All that came, without the white space at their ends.
  std::string text() const;
  std::string thinking() const;

 private:
  void show(const std::vector<text::ThinkingStream::Piece>& pieces);

  Write write_;
  bool terminal_;
  bool dim_ = false;
  text::Utf8Stream utf8_;
  text::ThinkingStream stream_;
  std::string text_, thinking_;
};

}  // namespace belay::cli
