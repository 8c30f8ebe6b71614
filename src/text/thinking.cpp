#include "text/thinking.h"

#include <algorithm>

namespace belay::text {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>", kBlank = " \n\r\t";

/// Bytes at the end of `text` that may become `tag`.
std::size_t partial(std::string_view text, std::string_view tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == tag.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

void ThinkingStream::give(std::string_view text, bool thinking, std::vector<Piece>& out) {
  if (at_start_) text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  if (text.empty()) return;
  at_start_ = false;
  out.push_back({std::string(text), thinking});
}

/// Takes from what is held; false when more is needed.
bool ThinkingStream::step(std::vector<Piece>& out) {
  const std::string_view held = held_;
  if (state_ == State::kBefore) {
    const std::size_t begin = std::min(held.find_first_not_of(kBlank), held.size());
    const std::string_view rest = held.substr(begin);
    if (rest.size() < kOpen.size() && kOpen.starts_with(rest)) return false;
    const bool thinks = rest.starts_with(kOpen);
    state_ = thinks ? State::kThinking : State::kSaying;
    if (thinks) held_.erase(0, begin + kOpen.size());
    at_start_ = thinks;  // a plain answer stays as it is
    return true;
  }
  if (state_ == State::kSaying) {
    give(held, false, out);
    held_.clear();
    return false;
  }
  const std::size_t close = held.find(kClose);
  if (close == std::string_view::npos) {
    const std::size_t sure = held.size() - partial(held, kClose);
    give(held.substr(0, sure), true, out);
    held_.erase(0, sure);
    return false;
  }
  give(held.substr(0, close), true, out);
  held_.erase(0, close + kClose.size());
  state_ = State::kSaying;
  at_start_ = true;
  return true;
}

std::vector<ThinkingStream::Piece> ThinkingStream::push(std::string_view text) {
  std::vector<Piece> out;
  held_ += text;
  while (step(out)) {
  }
  return out;
}

std::vector<ThinkingStream::Piece> ThinkingStream::finish() {
  std::vector<Piece> out;
  give(held_, state_ == State::kThinking, out);
  held_.clear();
  return out;
}

bool ends_thinking(std::string_view prompt) {
  const std::size_t last = prompt.find_last_not_of(kBlank);
  return last != std::string_view::npos && prompt.substr(0, last + 1).ends_with(kOpen);
}

}  // namespace belay::text
