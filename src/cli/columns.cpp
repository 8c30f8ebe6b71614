#include "cli/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace belay::cli {
namespace {

/// Bytes of the UTF-8 character at the start of text; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t n = byte(0) < 0x80                       ? 1
                        : byte(0) >= 0xC2 && byte(0) <= 0xDF ? 2
                        : byte(0) >= 0xE0 && byte(0) <= 0xEF ? 3
                        : byte(0) >= 0xF0 && byte(0) <= 0xF4 ? 4
                                                             : 0;
  if (n == 0 || n > text.size()) return 0;
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong =
      n > 2 && ((byte(0) == 0xE0 && byte(1) < 0xA0) || (byte(0) == 0xF0 && byte(1) < 0x90));
  const bool outside =
      n > 2 && ((byte(0) == 0xED && byte(1) > 0x9F) || (byte(0) == 0xF4 && byte(1) > 0x8F));
  return overlong || outside ? 0 : n;
}

/// The characters of a text, each fit for a terminal.
std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> list;
  while (!text.empty()) {
    const std::size_t n = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(n, 1));
    const auto first = static_cast<unsigned char>(character[0]);
    const bool control = (first < 0x20 && first != '\n') || first == 0x7F ||
                         (n == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0);
    list.emplace_back(n == 0 ? "\uFFFD" : control ? "\u00B7" : character);
    text.remove_prefix(character.size());
  }
  return list;
}

struct Line {
  std::string text;
  std::size_t width = 0;  // characters
};

/// Lines of at most `width` characters, broken at spaces where there is one.
std::vector<Line> wrap(std::string_view text, std::size_t width) {
  std::vector<Line> lines(1);
  Line word;
  const auto end_word = [&] {
    if (lines.back().width > 0 && lines.back().width + 1 + word.width > width) lines.emplace_back();
    if (lines.back().width > 0) lines.back() = {lines.back().text + " ", lines.back().width + 1};
    lines.back() = {lines.back().text + word.text, lines.back().width + word.width};
    word = {};
  };
  for (const std::string& c : characters(text)) {
    if (c == " " || c == "\n" || word.width == width) end_word();
    if (c == "\n") lines.emplace_back();
    if (c == " " || c == "\n") continue;
    word = {word.text + c, word.width + 1};
  }
  end_word();
  return lines;
}

}  // namespace

std::string two_columns(const Column& left, const Column& right, std::size_t width) {
  std::vector<Line> a = wrap(left.text, width), b = wrap(right.text, width);
  a.insert(a.begin(), {{std::string(left.title), left.title.size()}, {}});
  b.insert(b.begin(), {{std::string(right.title), right.title.size()}, {}});
  std::string text;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const Line l = i < a.size() ? a[i] : Line{}, r = i < b.size() ? b[i] : Line{};
    text += "  " + l.text + std::string(width - std::min(width, l.width), ' ') + "  |";
    text += (r.text.empty() ? "" : "  ") + r.text + "\n";
  }
  return text;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const std::string& c : characters(text)) line += c == "\n" ? "\u21B5" : c;
  return line;
}

std::string table(const std::vector<std::vector<std::string>>& rows, std::size_t indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line(indent, ' ');
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += c == 0 ? fmt::format("{:<{}}", row[c], widths[c])
                     : fmt::format("  {:>{}}", row[c], widths[c]);
    }
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace belay::cli
