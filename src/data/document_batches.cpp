#include "data/document_batches.h"

#include <span>
#include <utility>

#include "base/hash.h"
#include "data/record_text.h"

namespace belay::data {
namespace {

// Records that are in memory at a time.
constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
constexpr std::size_t kBatchRecords = std::size_t{1} << 16;

}  // namespace

DocumentBatches::DocumentBatches(base::ThreadPool& threads, base::Env& env,
                                 const std::vector<SourceFile>& files, Examination examination,
                                 std::vector<bool> wanted)
    : threads_(threads),
      files_(files),
      examination_(std::move(examination)),
      reader_(env, files, std::move(wanted)) {}

base::Result<bool> DocumentBatches::next() {
  documents_.clear();
  bool more = true;
  for (std::size_t bytes = 0; bytes < kBatchBytes && documents_.size() < kBatchRecords;) {
    BELAY_ASSIGN_OR_RETURN(std::optional<SourcedRecord> record, reader_.next());
    more = record.has_value();
    if (!more) break;
    bytes += record->record.bytes.size();
    documents_.emplace_back().from = std::move(*record);
  }
  threads_.parallel(static_cast<std::int64_t>(documents_.size()), [this](std::int64_t i, int) {
    examine(documents_[static_cast<std::size_t>(i)]);
  });
  return more;
}

/// Fills in the text of a record, or its fault.
void DocumentBatches::examine(Document& document) const {
  Record& record = document.from.record;
  const SourceFile& file = files_[document.from.source];
  if (file.form == Form::kJsonLines) document.counts = !is_blank(record.bytes);
  auto text = text_of_record(record, file, examination_.field);
  document.fault = text.status();
  record.bytes = {};
  if (!text.ok()) return;
  document.text = std::move(*text);
  document.blank = is_blank(document.text);
  if (document.blank) return;
  document.xxh3 = base::xxh3_64(std::as_bytes(std::span(document.text)));
  if (examination_.quality != nullptr && document.from.source >= examination_.quality_from) {
    document.broken = examination_.quality->broken_by(document.text);
  }
  if (examination_.minhash != nullptr && !document.broken) {
    document.sketch = examination_.minhash->sketch(document.text);
  }
}

}  // namespace belay::data
