// An answer that comes in pieces, parted into what a model thinks (between <think> and </think>, at
// the beginning) and what it says. A tag that comes in parts is held back until it is whole. Cost:
// linear in the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace belay::text {

class ThinkingStream {
 public:
  struct Piece {
    std::string text;
    bool thinking = false;
    bool operator==(const Piece&) const = default;
  };

  /// begins_inside: the prompt ended with <think> already.
  explicit ThinkingStream(bool begins_inside = false)
      : state_(begins_inside ? State::kThinking : State::kBefore) {}

  /// What is certain after this text; empty pieces and tags are left out, and the white space that
  /// follows a tag.
  std::vector<Piece> push(std::string_view text);
  /// What was held back.
  std::vector<Piece> finish();

 private:
  enum class State { kBefore, kThinking, kSaying };
  bool step(std::vector<Piece>& out);
  void give(std::string_view text, bool thinking, std::vector<Piece>& out);

  State state_;
  bool at_start_ = true;  // of thought or speech: white space is skipped
  std::string held_;
};

/// The rendered prompt ends with an open <think>.
bool ends_thinking(std::string_view prompt);

}  // namespace belay::text
