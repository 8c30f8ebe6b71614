// Lines that a person types, with editing and history (libedit), or lines of a pipe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace belay::cli {

class ChatInput {
 public:
  enum class End { kLine, kInterrupted, kClosed };  // Ctrl-C; Ctrl-D or the end of the pipe

  virtual ~ChatInput() = default;
  /// The next line, without its end. A line that ends with a backslash goes on on the next.
  virtual End read(std::string& line) = 0;
  /// The text stands in the next line that is read, to be edited.
  virtual void prefill(std::string_view) {}

  /// Editing where both standard input and output are a terminal.
  static std::unique_ptr<ChatInput> open(bool editing);
};

}  // namespace belay::cli
