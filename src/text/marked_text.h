// A text that remembers which of its bytes came from outside: from messages, tools and variables of
// a request, and not from the template that arranged them. The text of a special token counts as
// that token only where no byte of it is content, so nobody can end a turn by writing "<|im_end|>".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace belay::text {

/// Bytes begin to end - 1 of a text.
struct ByteSpan {
  std::size_t begin = 0, end = 0;
  bool operator==(const ByteSpan&) const = default;
};

class MarkedText {
 public:
  MarkedText() = default;
  explicit MarkedText(std::string bytes, bool is_content = false);

  const std::string& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  /// What is content, in order, neither empty nor touching.
  const std::vector<ByteSpan>& content() const { return content_; }
  bool has_content() const { return !content_.empty(); }

  void append(std::string_view bytes, bool is_content);
  /// `size` bytes of another text (not this one) from `begin` on, with their marks.
  void append(const MarkedText& other, std::size_t begin, std::size_t size);
  void append(const MarkedText& other) { append(other, 0, other.size()); }
  MarkedText substr(std::size_t begin, std::size_t size) const;

 private:
  void mark(std::size_t begin, std::size_t end);
  std::string bytes_;
  std::vector<ByteSpan> content_;
};

}  // namespace belay::text
