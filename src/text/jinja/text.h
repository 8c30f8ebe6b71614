// Python's strings on marked UTF-8: positions are characters, white space and case are Unicode's. A
// byte that is not UTF-8 is a character of its own. Marks follow the bytes, also through a change
// of case.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"
#include "text/marked_text.h"

namespace belay::text::jinja {

/// Puts a text together within the budget and a size; more than that is refused and remembered.
class Builder {
 public:
  Builder(Budget& budget, std::size_t max_bytes) : budget_(budget), max_bytes_(max_bytes) {}
  /// False when there is no room (and from then on).
  bool add(std::string_view bytes, bool is_content = false);
  bool add(const MarkedText& text, std::size_t begin, std::size_t size);
  bool add(const MarkedText& text) { return add(text, 0, text.size()); }
  bool ok() const { return !full_; }
  std::size_t size() const { return text_.size(); }
  MarkedText take() { return std::move(text_); }
  Budget& budget() { return budget_; }

 private:
  bool room(std::size_t size, std::size_t spans);
  Budget& budget_;
  std::size_t max_bytes_;
  bool full_ = false;
  MarkedText text_;
};

/// Characters of a text.
std::size_t length(std::string_view utf8);
/// Where each character begins, and the end.
std::vector<std::size_t> boundaries(std::string_view utf8);

/// What is left when characters of `chars` (by default white space) are taken from the ends.
ByteSpan stripped(std::string_view text, std::optional<std::string_view> chars, bool left,
                  bool right);

/// The parts of str.split (by white space without a separator), at most `most` splits (all: -1).
std::vector<ByteSpan> split(std::string_view text, std::optional<std::string_view> separator,
                            std::int64_t most);
/// The same from the right: str.rsplit.
std::vector<ByteSpan> split_right(std::string_view text, std::optional<std::string_view> separator,
                                  std::int64_t most);
std::vector<ByteSpan> split_lines(std::string_view text, bool keep_ends);

enum class Case : std::uint8_t {
  kUpper,
  kLower,
  kCapitalize,   // the first character of the text, the others lower
  kTitle,        // str.title: the first letter of each run of letters
  kFilterTitle,  // the filter of that name: what follows white space, '-' or an opening bracket
};
void change_case(Builder& out, const MarkedText& text, Case to);
/// Has letters with case, and all of them are lower (or upper).
bool is_case(std::string_view text, bool upper);

}  // namespace belay::text::jinja
