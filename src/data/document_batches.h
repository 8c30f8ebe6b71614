// The documents of files in batches of bounded memory, examined by all threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/threads.h"
#include "data/minhash.h"
#include "data/quality.h"
#include "data/sources.h"

namespace belay::data {

/// A document on its way.
struct Document {
  SourcedRecord from;  // its bytes are gone
  base::Status fault;
  std::string text;
  bool counts = true;  // false: nothing at all, a blank line between lines of JSON
  bool blank = true;
  std::uint64_t xxh3 = 0;  // of the text, unless blank
  std::optional<QualityFilter::Broken> broken;
  Sketch sketch;
};

/// What to look for in documents that are not blank.
struct Examination {
  std::string field = {};  // of lines of JSON
  const QualityFilter* quality = nullptr;
  std::size_t quality_from = 0;      // files before this one are not judged
  const MinHash* minhash = nullptr;  // of documents that pass
};

class DocumentBatches {
 public:
  /// All outlive this. wanted: which files are read; empty: all.
  DocumentBatches(base::ThreadPool& threads, base::Env& env, const std::vector<SourceFile>& files,
                  Examination examination, std::vector<bool> wanted = {});

  /// The next batch, maybe empty; false when it is the last one. A document with a fault ends the
  /// work of whoever comes to it.
  base::Result<bool> next();
  const std::vector<Document>& documents() const { return documents_; }
  /// Stored bytes read so far.
  std::uint64_t bytes_read() const { return reader_.bytes_read(); }

 private:
  void examine(Document& document) const;

  base::ThreadPool& threads_;
  const std::vector<SourceFile>& files_;
  Examination examination_;
  SourceReader reader_;
  std::vector<Document> documents_;
};

}  // namespace belay::data
