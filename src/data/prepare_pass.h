// The reading of prepare() that writes: batches of documents, chosen in order, tokenized by all
// threads, written in order. A mixture that repeats sources reads them again in further rounds, so
// that copies of a document never lie side by side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset_writer.h"
#include "data/document_batches.h"
#include "data/dropped_log.h"
#include "data/preparation.h"
#include "data/text_encoder.h"

namespace belay::data {

/// Which document gives its end to validation, where no other does.
struct HeldOut {
  std::size_t source = 0;
  std::uint64_t number = 0, begin = 0;  // as in Record
  std::size_t document_bytes = 0;
  std::size_t bytes = 0;  // of the end
};

class PreparePass {
 public:
  /// The preparation outlives this. held_out: all else is for training.
  PreparePass(Preparation& preparation, std::optional<HeldOut> held_out);

  /// surveyed: the work so far was half of the whole.
  base::Status run(bool surveyed);
  base::Result<DatasetManifest> finish();

  const DatasetManifest::Part& part(Split split) const { return writer_.part(split); }
  /// The longest document for training.
  const std::optional<HeldOut>& longest() const { return longest_; }

 private:
  /// A document to be written: its text, or a part of it where its end is held out.
  struct Piece {
    const Document* document = nullptr;
    Split split = Split::kTrain;
    std::size_t begin = 0, bytes = 0;  // of the text
  };
  base::Status run_round(std::int64_t round);
  base::Status choose(const std::vector<Document>& documents);
  base::Status log_dropped(const Document& document, Fate fate);
  void add_pieces(const Document& document);
  bool is_held_out(const Document& document) const;
  void add_piece(const Document& document, Split split, std::size_t begin, std::size_t bytes);
  base::Status write();
  base::Status write(const Piece& piece);
  void report(std::uint64_t bytes_read);

  Preparation& p_;
  std::optional<HeldOut> held_out_, longest_;
  DatasetWriter writer_;
  std::optional<DroppedLog> dropped_;
  std::string held_out_text_;
  std::int64_t round_ = 0, unique_train_tokens_ = 0;
  double bytes_before_ = 0, bytes_in_all_ = 0, work_before_ = 0;
  TextEncoder encoder_;
  std::vector<Piece> pieces_;  // of the batch at hand
  std::vector<std::int32_t> ids_;
};

}  // namespace belay::data
