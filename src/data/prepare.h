// Text to token shards: read, check, drop duplicates and what breaks a rule, split, tokenize,
// write. The result follows from the texts, their order and the options alone: the same bytes for
// any number of threads. Memory follows from the longest document, not from the amount of text, but
// for about 50 bytes a document by which exact duplicates are known, 250 to 400 more for
// near-duplicates and 24 more for a mixture. Both of these read all files once more, before the
// reading that writes.
//
// A document goes to validation when the XXH3 of its bytes, as a fraction of 2^64, lies below the
// fraction asked for; so it stays where it is when other files come or go, and when the fraction
// grows. Where no document falls into one of the splits (a single book), everything is for training
// but the end of the longest document.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "base/threads.h"
#include "data/dataset_manifest.h"
#include "data/dataset_writer.h"
#include "text/tokenizer.h"

namespace belay::data {

struct PrepareOptions {
  std::vector<std::string> inputs = {};  // files and folders
  std::vector<std::string> valid_inputs =
      {};                        // if any, they are the validation, and nothing else is
  std::string out = {};          // folder
  std::string field = "text";    // of lines of JSON
  double valid_fraction = 0.05;  // 0 to 0.5; 0: no validation
  std::int64_t shard_tokens = kShardTokens;
  double near_duplicates = 0;             // likeness from which one of two is dropped; 0: none
  std::string quality = {};               // preset of rules (data/quality.h)
  std::vector<std::string> filters = {};  // lists of rules
  std::string dropped = {};               // file that names what was dropped
  std::vector<std::string> weights = {};  // of sources (data/mixture.h)
  std::int64_t train_tokens = 0;          // of the mixture; 0: as many as its sources hold
  std::uint64_t seed = 1;                 // of what makes a part of an epoch
};

/// near_duplicates: 0, or from here to 1.
inline constexpr double kLeastLikeness = 0.3;

struct PrepareState {
  double fraction = 0;  // of the stored bytes of all files
  std::int64_t documents = 0, text_bytes = 0, tokens = 0;
};

/// Returns the manifest of what was written. Errors name the file and the place in it; the folder
/// is then as it was. `stop` set: kCancelled.
base::Result<DatasetManifest> prepare(base::ThreadPool& threads, base::Env& env,
                                      const text::Tokenizer& tokenizer,
                                      const PrepareOptions& options, const std::atomic<bool>& stop,
                                      const std::function<void(const PrepareState&)>& on_progress);

}  // namespace belay::data
