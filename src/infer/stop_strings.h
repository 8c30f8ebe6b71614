// Finds strings that end a text in bytes that come token by token, also where one stands across
// several tokens. Bytes that could still become a stop string are held back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace belay::infer {

class StopStrings {
 public:
  /// Empty strings never match.
  explicit StopStrings(std::vector<std::string> strings);

  /// Takes the next bytes; returns those that surely belong to the text, valid until the next call.
  /// When a stop string is complete (of several, the one that begins first), what stands before it
  /// is returned, and found() is true.
  std::string_view push(std::string_view bytes);
  /// What is held back, when the text ends otherwise.
  std::string_view finish();
  bool found() const { return found_; }

 private:
  std::size_t may_begin() const;

  std::vector<std::string> strings_;
  std::string held_, out_;
  bool found_ = false;
};

}  // namespace belay::infer
