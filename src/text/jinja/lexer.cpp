#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "text/jinja/text.h"
#include "text/unicode.h"

namespace belay::text::jinja {
namespace {

using base::Result;
using base::Status;

/// Line ends as "\n"; the last one goes.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_begin(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_begin(c) || is_digit(c); }

class Lexer {
 public:
  Lexer(std::string source, std::string_view name) : source_(std::move(source)), name_(name) {}

  Result<std::vector<Token>> run() {
    while (fault_.ok() && at_ < source_.size()) outside();
    if (!fault_.ok()) return fault_;
    push(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool sees(std::string_view text) const { return rest().starts_with(text); }

  void push(TokenKind kind, std::string text = {}) {
    tokens_.push_back({.kind = kind, .line = line_, .text = std::move(text)});
  }

  void advance(std::size_t n) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(n), '\n'));
    at_ += n;
  }

  void skip_blank() { advance(stripped(rest(), std::nullopt, true, false).begin); }

  void fail(std::string what, std::string seen = {}, std::string allowed = {}) {
    fault_ = base::corrupt({.where = fmt::format("{}: line {}", name_, line_),
                            .what = std::move(what),
                            .seen = std::move(seen),
                            .allowed = std::move(allowed)});
  }

  /// Text before a tag: what is left of it, by the tag's sign.
  std::string_view before_tag(std::string_view text, char sign, bool prints) const {
    if (sign == '-') return text.substr(0, stripped(text, std::nullopt, false, true).end);
    if (sign == '+' || prints) return text;
    const std::size_t line = text.rfind('\n') + 1;  // 0 where there is none
    if (line == 0 && !line_starting_) return text;
    const ByteSpan inked = stripped(text.substr(line), std::nullopt, true, false);
    return inked.begin == inked.end ? text.substr(0, line) : text;
  }

  char sign_at(std::size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : 0;
  }

  void text(std::string_view text, std::size_t raw_size) {
    if (!text.empty()) push(TokenKind::kText, std::string(text));
    advance(raw_size);
  }

  /// Text up to the next tag, and the tag.
  void outside() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        return text(rest(), rest().size());
      }
      if (const char c = source_[tag + 1]; c == '%' || c == '{' || c == '#') break;
    }
    const char kind = source_[tag + 1], sign = sign_at(tag + 2);
    const std::string_view data = rest().substr(0, tag - at_);
    text(before_tag(data, sign, kind == '{'), data.size());
    line_starting_ = false;
    if (kind == '#') return comment(sign);
    if (kind == '%' && raw(sign)) return;
    push(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin);
    advance(sign == 0 ? 2 : 3);
    inside(kind == '{');
  }

  /// Goes past the end of a tag that begins here, and the white space that it takes.
  bool tag_end(std::string_view end, bool takes_line_end) {
    const char sign = sign_at(at_);
    if (!rest().substr(sign == 0 ? 0 : 1).starts_with(end)) return false;
    if (sign == '+' && !takes_line_end) return false;  // {{ has no "+}}"
    const std::size_t begin = at_;
    advance(end.size() + (sign == 0 ? 0 : 1));
    if (sign == '-') {
      skip_blank();
    } else if (sign == 0 && takes_line_end && sees("\n")) {
      advance(1);
    }
    line_starting_ = at_ > begin && source_[at_ - 1] == '\n';
    return true;
  }

  void comment(char sign) {
    const int begun = line_;
    advance(sign == 0 ? 2 : 3);
    std::size_t end = source_.find("#}", at_);
    if (end == std::string::npos) {
      line_ = begun;
      return fail("a comment has no end", {}, "#}");
    }
    if (end > at_ && sign_at(end - 1) != 0) --end;
    advance(end - at_);
    tag_end("#}", true);
  }

  /// {% raw %} to {% endraw %}, when one begins here.
  bool raw(char sign) {
    const std::size_t start = at_;
    const int begun = line_;
    advance(sign == 0 ? 2 : 3);
    skip_blank();
    const bool is_raw = sees("raw") && (advance(3), skip_blank(), sees("%}") || sees("-%}"));
    if (!is_raw) return at_ = start, line_ = begun, false;
    const bool strips = sees("-");
    advance(strips ? 3 : 2);
    if (strips) skip_blank();
    const std::size_t body = at_;
    for (std::size_t tag = body; (tag = source_.find("{%", tag)) != std::string::npos; tag += 2) {
      const char end_sign = sign_at(tag + 2);
      std::size_t word = tag + (end_sign == 0 ? 2 : 3);
      word += stripped(std::string_view(source_).substr(word), std::nullopt, true, false).begin;
      if (source_.compare(word, 6, "endraw") != 0) continue;
      const std::string_view data = std::string_view(source_).substr(body, tag - body);
      line_starting_ = false;
      text(before_tag(data, end_sign, false), data.size());
      advance(word + 6 - at_);
      skip_blank();
      if (tag_end("%}", true)) return true;
      break;
    }
    line_ = begun;
    fail("a raw block has no end", {}, "{% endraw %}");
    return true;
  }

  /// The tokens of a tag, up to its end.
  void inside(bool prints) {
    const int begun = line_;
    std::string open;  // brackets
    while (fault_.ok()) {
      skip_blank();
      if (open.empty() && tag_end(prints ? "}}" : "%}", !prints)) {
        return push(prints ? TokenKind::kPrintEnd : TokenKind::kBlockEnd);
      }
      if (at_ >= source_.size()) {
        line_ = begun;
        return fail("a tag has no end", {}, prints ? "}}" : "%}");
      }
      const char c = source_[at_];
      if (is_digit(c)) {
        number();
      } else if (is_name_begin(c)) {
        std::size_t n = 1;
        while (n < rest().size() && is_name_part(rest()[n])) ++n;
        push(TokenKind::kName, std::string(rest().substr(0, n)));
        advance(n);
      } else if (c == '\'' || c == '"') {
        string(c);
      } else {
        symbol(open);
      }
    }
  }

  void symbol(std::string& open) {
    static constexpr std::string_view kTwo[] = {"**", "//", "==", "!=", ">=", "<="};
    for (const std::string_view two : kTwo) {
      if (sees(two)) return push(TokenKind::kOperator, std::string(two)), advance(2);
    }
    const char c = source_[at_];
    if (std::string_view("+-*/%~[](){}<>=.:|,;").find(c) == std::string_view::npos) {
      return fail("a character has no meaning here", base::printable(rest().substr(0, 1)));
    }
    if (c == '(' || c == '[' || c == '{') open += c;
    if (c == ')' || c == ']' || c == '}') {
      const char opening = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.empty() || open.back() != opening) {
        return fail("a bracket closes what is not open", base::printable(rest().substr(0, 1)));
      }
      open.pop_back();
    }
    push(TokenKind::kOperator, std::string(1, c));
    advance(1);
  }

  /// Digits with single underscores between them, from `at` on: where they end.
  std::size_t digits_end(std::size_t at) const {
    while (at < source_.size() &&
           (is_digit(source_[at]) || (source_[at] == '_' && is_digit(source_[at - 1]) &&
                                      at + 1 < source_.size() && is_digit(source_[at + 1])))) {
      ++at;
    }
    return at;
  }

  void number() {
    std::size_t end = digits_end(at_);
    bool is_float = false;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // x.0.5 are two places
    if (!after_dot && end + 1 < source_.size() && source_[end] == '.' &&
        is_digit(source_[end + 1])) {
      is_float = true;
      end = digits_end(end + 1);
    }
    if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      std::size_t power = end + 1;
      if (sign_at(power) != 0) ++power;
      if (power < source_.size() && is_digit(source_[power])) {
        is_float = true;
        end = digits_end(power);
      }
    }
    std::string digits = source_.substr(at_, end - at_);
    std::erase(digits, '_');
    const char *first = digits.data(), *last = first + digits.size();
    push(is_float ? TokenKind::kFloat : TokenKind::kInt);
    const auto read = is_float ? std::from_chars(first, last, tokens_.back().number)
                               : std::from_chars(first, last, tokens_.back().whole);
    if (read.ec != std::errc() || (end < source_.size() && is_name_part(source_[end]))) {
      return fail("a number cannot be read", base::printable(rest().substr(0, end + 1 - at_)),
                  "decimal digits, at most 64 bits");
    }
    advance(end - at_);
  }

  void string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return fail("a string has no end", base::printable(rest(), 40));
    const auto value = unescaped(std::string_view(source_).substr(at_ + 1, end - at_ - 1));
    if (!value) {
      return fail("a string has an escape that cannot be read",
                  base::printable(rest().substr(0, end + 1 - at_)), "those of Python but \\N");
    }
    push(TokenKind::kString, *value);
    advance(end + 1 - at_);
  }

  static std::optional<std::string> unescaped(std::string_view text) {
    constexpr std::string_view kPlain = "\\'\"abfnrtv", kMeant = "\\'\"\a\b\f\n\r\t\v";
    std::string out;
    while (!text.empty()) {
      const char c = text[0], next = text.size() > 1 ? text[1] : '\0';
      std::size_t used = 2;
      if (c != '\\') {
        out += c;
        used = 1;
      } else if (const auto i = kPlain.find(next); i != kPlain.npos) {
        out += kMeant[i];
      } else if (next == 'x' || next == 'u' || next == 'U') {
        const std::size_t n = next == 'x' ? 2 : next == 'u' ? 4 : 8;
        if (!code(text.substr(2, n), n, 16, out)) return std::nullopt;
        used = 2 + n;
      } else if (next >= '0' && next <= '7') {
        std::size_t n = 1;
        while (n < 3 && n + 1 < text.size() && text[n + 1] >= '0' && text[n + 1] <= '7') ++n;
        if (!code(text.substr(1, n), n, 8, out)) return std::nullopt;
        used = 1 + n;
      } else if (next == 'N') {
        return std::nullopt;
      } else if (next != '\n') {  // a line end after a backslash goes; others stay with it
        out += c;
        used = 1;
      }
      text.remove_prefix(used);
    }
    return out;
  }

  static bool code(std::string_view digits, std::size_t size, int base, std::string& out) {
    std::uint32_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (digits.size() != size || read.ptr != digits.data() + size || value > 0x10FFFF ||
        (value >= 0xD800 && value < 0xE000)) {
      return false;
    }
    append_utf8(value, out);
    return true;
  }

  std::string source_;
  std::string_view name_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag took a line end, or none was
  std::vector<Token> tokens_;
  Status fault_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source, std::string_view name) {
  return Lexer(normalized(source), name).run();
}

}  // namespace belay::text::jinja
