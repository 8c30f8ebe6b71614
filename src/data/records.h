// Takes a file apart into documents (plain text) or lines (JSON), in memory that does not grow with
// the file. A text file holds one document, or several that are each ended by a line <|endoftext|>;
// those lines belong to no document.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"

namespace belay::data {

enum class Form : std::uint8_t { kText, kJsonLines };

/// What stands alone on the line that ends a document.
inline constexpr std::string_view kEndMark = "<|endoftext|>";
/// A longer document of a text file is cut into several, at line ends where it has them.
inline constexpr std::size_t kLongestDocument = std::size_t{16} << 20;
/// A longer line of JSON is refused.
inline constexpr std::size_t kLongestLine = std::size_t{64} << 20;

struct Record {
  std::string bytes;         // as they lie in the file, without the line end of a line
  std::uint64_t begin = 0;   // offset in the unpacked file
  std::uint64_t number = 0;  // of the document or line in the file, from 1
  bool cut = false;          // goes on in the next record
};

class RecordReader {
 public:
  /// `name` is what messages call the file.
  RecordReader(std::unique_ptr<base::ReadableFile> file, Form form, std::string name);
  /// The next record, nothing at the end. A byte order mark at the begin of the file is left out.
  base::Result<std::optional<Record>> next();

 private:
  struct End {
    std::size_t record = 0, separator = 0;  // bytes
  };
  std::optional<End> find_end();
  std::optional<End> find_mark();
  base::Result<std::optional<Record>> take_long();
  Record take(End end);
  base::Status refill();

  std::unique_ptr<base::ReadableFile> file_;
  Form form_;
  std::string name_;
  std::string buffer_;  // the record begins at begin_, nothing before scan_ ends it
  std::size_t begin_ = 0, scan_ = 0;
  std::uint64_t offset_ = 0;  // of the buffer in the file
  std::uint64_t number_ = 1;
  bool started_ = false, ended_ = false;
};

}  // namespace belay::data
