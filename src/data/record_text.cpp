#include "data/record_text.h"

#include <fmt/core.h>

#include <algorithm>

#include "data/json_lines.h"
#include "text/unicode.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

Status not_utf8(const std::string& path, const Record& record, std::string_view text,
                std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return base::corrupt(
      {.where = fmt::format("{}: byte {}", path, record.begin + at),
       .what = "is not UTF-8",
       .seen = fmt::format("0x{:02X}, in line {} of document {}",
                           static_cast<unsigned char>(text[at]), line, record.number),
       .next = "convert the file to UTF-8: iconv -f WINDOWS-1252 -t UTF-8"});
}

/// The text of a document as it lies in a file.
Result<std::string> checked_text(Record& record, const std::string& path) {
  if (const std::size_t at = record.bytes.find('\0'); at != std::string::npos) {
    return base::corrupt({.where = fmt::format("{}: byte {}", path, record.begin + at),
                          .what = "is zero: the file is binary, not text",
                          .allowed = "UTF-8 text"});
  }
  if (const std::size_t at = text::valid_utf8_prefix(record.bytes); at < record.bytes.size()) {
    return not_utf8(path, record, record.bytes, at);
  }
  return std::move(record.bytes);
}

}  // namespace

Result<std::string> text_of_record(Record& record, const SourceFile& file,
                                   const std::string& field) {
  if (file.form == Form::kText) return checked_text(record, file.path);
  return text_of_line(record.bytes, fmt::format("{}:{}", file.path, record.number), field);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

}  // namespace belay::data
