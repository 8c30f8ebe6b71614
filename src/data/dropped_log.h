// The file that names each document that was dropped, and why: a line of JSON each, in the order of
// the documents.
#pragma once

#include <optional>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "data/document_batches.h"
#include "data/prepare_files.h"
#include "data/quality.h"
#include "data/selection.h"

namespace belay::data {

class DroppedLog {
 public:
  static base::Result<DroppedLog> open(base::Env& env, const std::string& path);

  /// What stays in the place of a near-duplicate.
  struct Kept {
    std::string place;
    double likeness = 0;
  };
  base::Status add(const Document& document, const PrepareFiles& files, Fate fate,
                   const QualityFilter& quality, const std::optional<Kept>& kept);
  /// The file appears.
  base::Status commit();

 private:
  explicit DroppedLog(base::AtomicFile file) : file_(std::move(file)) {}
  base::Status flush();
  base::AtomicFile file_;
  std::string lines_;
};

}  // namespace belay::data
