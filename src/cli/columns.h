// Text in columns, for a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace belay::cli {

struct Column {
  std::string_view title, text;
};

/// Both texts wrapped at `width` characters, with their titles above. What is not UTF-8 is shown as
/// U+FFFD and control characters as a dot, so that a text cannot drive the terminal.
std::string two_columns(const Column& left, const Column& right, std::size_t width);

/// Rows of cells, each column as wide as its widest: the first to the left, the others to the
/// right; `indent` spaces before each row.
std::string table(const std::vector<std::vector<std::string>>& rows, std::size_t indent = 0);

/// A text on one line, as fit for a terminal as above; line ends become "↵".
std::string one_line(std::string_view text);

}  // namespace belay::cli
