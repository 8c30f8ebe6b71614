// What the parts of prepare() share while it works.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/env.h"
#include "base/threads.h"
#include "data/mixture.h"
#include "data/prepare.h"
#include "data/prepare_files.h"
#include "data/quality.h"
#include "data/selection.h"
#include "text/tokenizer.h"

namespace belay::data {

/// A training document that was dropped, and the one that stays in its place.
struct NearPair {
  std::uint32_t source = 0, place = 0;  // as in SourcedRecord
  std::uint32_t kept_source = 0;
  std::uint64_t kept_number = 0;  // as in Record
  double likeness = 0;
};

struct Preparation {
  base::ThreadPool& threads;
  base::Env& env;
  const text::Tokenizer& tokenizer;
  const PrepareOptions& options;
  const PrepareFiles& files;
  const QualityFilter& quality;
  Selection selection;
  Mixture mixture;
  const std::atomic<bool>& stop;
  const std::function<void(const PrepareState&)>& on_progress;
  std::vector<NearPair> near_pairs = {};  // by (source, place)
  NearDuplicateCounts near_counts = {};

  base::Status check_stop() const;
};

}  // namespace belay::data
