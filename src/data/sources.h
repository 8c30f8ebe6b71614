// The files that text comes from: what a list of files and folders holds, and its documents one
// after another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "base/unpack.h"
#include "data/records.h"

namespace belay::data {

struct SourceFile {
  std::string path;
  Form form = Form::kText;
  std::uint64_t bytes = 0;  // as stored
};

struct SourceList {
  std::vector<SourceFile> files;     // in the order given, those of a folder by name
  std::vector<std::string> skipped;  // files of folders that hold no text, with the reason
};

/// By the name without the end of its compression: .jsonl, .ndjson and .json are lines of JSON, all
/// others text.
Form form_of(std::string_view path);

/// The files under these paths, folders with all below them. A file that is named must hold text: a
/// missing, empty, binary or Parquet file is an error. In a folder, names that begin with a dot and
/// prepared datasets are passed over, empty and binary files are skipped and listed; Parquet is an
/// error there too.
base::Result<SourceList> find_sources(base::Env& env, const std::vector<std::string>& paths);

/// A record and where it comes from.
struct SourcedRecord {
  Record record;
  std::size_t source = 0;  // index into the list of files
  std::size_t place = 0;   // among the records of its file
};

/// The records of all files, one after another.
class SourceReader {
 public:
  /// The files outlive this. wanted: which of them are read; empty: all.
  SourceReader(base::Env& env, const std::vector<SourceFile>& files, std::vector<bool> wanted = {});
  ~SourceReader();
  base::Result<std::optional<SourcedRecord>> next();
  /// Stored bytes read so far.
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  base::Env& env_;
  const std::vector<SourceFile>& files_;
  std::vector<bool> wanted_;
  std::size_t source_ = 0, place_ = 0;
  std::optional<RecordReader> reader_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace belay::data
