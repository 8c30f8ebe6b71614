#include "text/marked_text.h"

#include <algorithm>
#include <utility>

namespace belay::text {

MarkedText::MarkedText(std::string bytes, bool is_content) : bytes_(std::move(bytes)) {
  if (is_content) mark(0, bytes_.size());
}

void MarkedText::mark(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!content_.empty() && content_.back().end == begin) {
    content_.back().end = end;
  } else {
    content_.push_back({begin, end});
  }
}

void MarkedText::append(std::string_view bytes, bool is_content) {
  const std::size_t begin = bytes_.size();
  bytes_ += bytes;
  if (is_content) mark(begin, bytes_.size());
}

void MarkedText::append(const MarkedText& other, std::size_t begin, std::size_t size) {
  const std::size_t here = bytes_.size(), end = begin + size;
  bytes_.append(other.bytes_, begin, size);
  auto span = std::partition_point(other.content_.begin(), other.content_.end(),
                                   [&](const ByteSpan& s) { return s.end <= begin; });
  for (; span != other.content_.end() && span->begin < end; ++span) {
    mark(here + std::max(span->begin, begin) - begin, here + std::min(span->end, end) - begin);
  }
}

MarkedText MarkedText::substr(std::size_t begin, std::size_t size) const {
  MarkedText part;
  part.append(*this, begin, size);
  return part;
}

}  // namespace belay::text
