#pragma once

#include <string_view>

namespace belay::base {

/// Without what of `blank` stands at both ends.
inline std::string_view trimmed(std::string_view text, std::string_view blank = " \t\r\n") {
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) + 1 - first);
}

}  // namespace belay::base
