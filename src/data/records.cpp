#include "data/records.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "base/units.h"
#include "data/utf8.h"

namespace belay::data {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

RecordReader::RecordReader(std::unique_ptr<base::ReadableFile> file, Form form, std::string name)
    : file_(std::move(file)), form_(form), name_(std::move(name)) {}

base::Result<std::optional<Record>> RecordReader::next() {
  while (true) {
    if (const auto end = find_end()) return std::optional(take(*end));
    const std::size_t held = buffer_.size() - begin_;
    if (ended_) {
      if (held == 0) return std::optional<Record>();
      return std::optional(take({held, 0}));
    }
    if (held > (form_ == Form::kText ? kLongestDocument : kLongestLine)) return take_long();
    BELAY_RETURN_IF_ERROR(refill());
  }
}

std::optional<RecordReader::End> RecordReader::find_end() {
  if (form_ == Form::kText) return find_mark();
  const std::size_t at = buffer_.find('\n', scan_);
  if (at != std::string::npos) return End{at - begin_, 1};
  scan_ = buffer_.size();
  return std::nullopt;
}

/// A line of kEndMark and nothing else, which ends in LF, CRLF or with the file.
std::optional<RecordReader::End> RecordReader::find_mark() {
  for (;; ++scan_) {
    scan_ = buffer_.find(kEndMark, scan_);
    if (scan_ == std::string::npos) break;
    if (scan_ != begin_ && buffer_[scan_ - 1] != '\n') continue;
    const std::size_t after = scan_ + kEndMark.size();
    const std::string_view rest = std::string_view(buffer_).substr(after, 2);
    const std::size_t mark = kEndMark.size();
    if (rest.starts_with('\n')) return End{scan_ - begin_, mark + 1};
    if (rest.starts_with("\r\n")) return End{scan_ - begin_, mark + 2};
    const bool undecided = rest.empty() || rest == "\r";
    if (undecided && ended_) return End{scan_ - begin_, mark + rest.size()};
    if (undecided) return std::nullopt;
  }
  scan_ = std::max(begin_, buffer_.size() - std::min(buffer_.size(), kEndMark.size() - 1));
  return std::nullopt;
}

/// The first part of a document that is too long to be held at once.
base::Result<std::optional<Record>> RecordReader::take_long() {
  if (form_ == Form::kJsonLines) {
    return base::unsupported({.where = fmt::format("{}:{}", name_, number_),
                              .what = "is a line that is too long",
                              .allowed = "at most " + base::bytes_text(kLongestLine),
                              .next = "write one JSON object a line"});
  }
  const std::string_view held = std::string_view(buffer_).substr(begin_, kLongestDocument);
  const std::size_t line_end = held.rfind('\n');
  const std::size_t at = line_end == std::string_view::npos
                             ? character_begin(held, kLongestDocument - 1)
                             : line_end + 1;
  Record record = take({at, 0});
  record.cut = true;
  --number_;
  return std::optional(std::move(record));
}

Record RecordReader::take(End end) {
  Record record{buffer_.substr(begin_, end.record), offset_ + begin_, number_++};
  begin_ += end.record + end.separator;
  scan_ = begin_;
  return record;
}

base::Status RecordReader::refill() {
  buffer_.erase(0, begin_);
  offset_ += begin_;
  scan_ -= begin_;
  begin_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  BELAY_ASSIGN_OR_RETURN(const std::size_t n,
                         file_->read(std::as_writable_bytes(std::span(buffer_)).subspan(had)));
  buffer_.resize(had + n);
  ended_ = n == 0;
  if (!started_ && (buffer_.size() >= kByteOrderMark.size() || ended_)) {
    started_ = true;
    if (buffer_.starts_with(kByteOrderMark)) begin_ = scan_ = kByteOrderMark.size();
  }
  return {};
}

}  // namespace belay::data
