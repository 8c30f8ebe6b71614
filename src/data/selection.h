// Which documents are kept, and why others are not. Decided in order when the files are read for
// the first time; remembered, a byte a document, when they are read again. A reading that brings
// other documents than the first one is an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "data/dataset_manifest.h"
#include "data/document_batches.h"
#include "data/prepare_files.h"

namespace belay::data {

/// kKept, another of these, or kBroken + the number of the limit in QualityFilter::limits().
enum class Fate : std::uint8_t { kKept, kNoText, kDuplicate, kNearDuplicate, kBroken };

class Selection {
 public:
  /// Both outlive this. valid_fraction: of documents, where no file is for validation.
  Selection(const PrepareFiles& files, const QualityFilter& quality, double valid_fraction);

  /// Documents come in the order of their files and without a gap. The document's own fault, or
  /// that its file has changed.
  base::Result<Fate> fate_of(const Document& document);
  /// A reading has come to its end; what follows are other readings. read: which files; empty: all.
  base::Status end_reading(const std::vector<bool>& read = {});
  bool decided() const { return decided_; }

  Fate fate_at(std::size_t source, std::size_t place) const { return fates_[source][place]; }
  void drop_near_duplicate(std::size_t source, std::size_t place) {
    fates_[source][place] = Fate::kNearDuplicate;
  }
  /// By file or by hash, unless the end of a document is held out for validation.
  Split split_of(const Document& document) const;

  /// The counts of what was dropped, into the manifest.
  void report(DatasetManifest& manifest) const;

 private:
  Fate decide(const Document& document);

  const PrepareFiles& files_;
  const QualityFilter& quality_;
  double valid_fraction_;
  bool decided_ = false;
  std::unordered_set<std::uint64_t> seen_;       // hashes of the documents so far
  std::vector<std::vector<Fate>> fates_;         // [file][place]
  std::vector<std::uint64_t> sums_, seen_sums_;  // of hashes by file: of the first reading, of this
  std::vector<DroppedCount> broken_;             // by limit
  DroppedCount duplicates_;
  std::int64_t empty_ = 0, cut_ = 0;
};

}  // namespace belay::data
