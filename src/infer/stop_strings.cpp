#include "infer/stop_strings.h"

#include <algorithm>

namespace belay::infer {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::erase_if(strings_, [](const std::string& s) { return s.empty(); });
}

/// Where a stop string may begin that is not complete yet: the longest end of held_ that begins
/// one.
std::size_t StopStrings::may_begin() const {
  std::size_t longest = 0;
  for (const std::string& s : strings_) longest = std::max(longest, s.size());
  const std::size_t first = held_.size() < longest ? 0 : held_.size() - longest + 1;
  for (std::size_t at = first; at < held_.size(); ++at) {
    const std::string_view end = std::string_view(held_).substr(at);
    for (const std::string& s : strings_) {
      if (s.size() > end.size() && std::string_view(s).starts_with(end)) return at;
    }
  }
  return held_.size();
}

std::string_view StopStrings::push(std::string_view bytes) {
  out_.clear();
  if (found_) return out_;
  held_ += bytes;
  std::size_t at = std::string::npos;
  for (const std::string& s : strings_) at = std::min(at, held_.find(s));
  found_ = at != std::string::npos;
  if (!found_) at = may_begin();
  out_.assign(held_, 0, at);
  held_.erase(0, found_ ? std::string::npos : at);
  return out_;
}

std::string_view StopStrings::finish() {
  out_ = held_;
  held_.clear();
  return out_;
}

}  // namespace belay::infer
