// Text that comes in pieces whose borders may cut a character: tokens on their way to a terminal.
#pragma once

#include <string>
#include <string_view>

namespace belay::text {

class Utf8Stream {
 public:
  /// What can be shown after these bytes: whole characters. Bytes that no character explains become
  /// U+FFFD, and so do control characters but tab and line end, which could drive a terminal.
  std::string push(std::string_view bytes);
  /// What is left at the end: U+FFFD for a character that never became whole.
  std::string finish();

 private:
  std::string held_;  // the beginning of a character
};

}  // namespace belay::text
