// What `belay data show` tells of a dataset: counts, lengths of documents, ids in use, samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace belay::data {

/// Documents of [least, 2 * least) tokens.
struct LengthBucket {
  std::int64_t least = 0, documents = 0;
};

struct SplitSummary {
  std::int64_t documents = 0, tokens = 0, text_bytes = 0;
  std::int64_t shortest = 0, median = 0, longest = 0;  // documents, in tokens
  std::vector<LengthBucket> lengths;                   // from the shortest to the longest
  std::int64_t ids_used = 0;                           // different ids that occur
};

/// One pass over the split's tokens.
SplitSummary summarize(const TokenStream& stream, std::int64_t vocab_size);

struct Sample {
  std::string where;        // Dataset::locate of its begin
  std::string text;         // UTF-8
  std::int64_t tokens = 0;  // of the document
};

/// The begins of n documents (all, when there are fewer), at most max_tokens of each, drawn by seed
/// and in the order of the stream.
std::vector<Sample> draw_samples(const Dataset& dataset, Split split, std::int64_t n,
                                 std::int64_t max_tokens, std::uint64_t seed);

}  // namespace belay::data
