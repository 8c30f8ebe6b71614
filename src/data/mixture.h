// How often each source is trained on. Every training file belongs to the first pattern that
// matches it; patterns have weights, which are the shares of training tokens that their files shall
// have. A pattern whose files hold too few tokens for its share is read several times, one that
// holds more in part: whole epochs hold every document once, the rest is a part of the documents
// that follows from the seed and their own text. Validation is not weighted.
//
// Text that is read again teaches less each time: up to four epochs nearly as much as new text,
// soon after that little. Muennighoff et al., "Scaling data-constrained language models", 2023.
//
// Memory: 24 bytes a document while it is planned.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/dataset_manifest.h"
#include "data/document_batches.h"
#include "data/prepare_files.h"
#include "data/selection.h"

namespace belay::data {

/// More epochs than this are worth a warning.
inline constexpr double kManyEpochs = 4;

/// A run of whole parts of the path matches: "books" is any file or folder of that name, "web/*.gz"
/// what lies in such a folder. "*" stands for any characters, "?" for one.
bool matches(std::string_view pattern, std::string_view path);

class Mixture {
 public:
  /// weights: "PATTERN=WEIGHT" each; none: every file once. total_tokens: 0: as many as the files
  /// hold.
  static base::Result<Mixture> parse(const std::vector<std::string>& weights,
                                     std::int64_t total_tokens, std::uint64_t seed,
                                     const PrepareFiles& files);
  bool empty() const { return parts_.empty(); }

  /// A document for training, of so many tokens.
  void count(const Document& document, std::int64_t tokens);
  /// When all are counted: how often they come. Fails where a pattern has no text left.
  base::Status plan(const Selection& selection);

  /// How often the document is written; the files are read so often.
  std::int64_t copies(const Document& document) const;
  std::int64_t rounds() const;
  /// The files that are read in this round, from 0; empty: all.
  std::vector<bool> read_in(std::int64_t round) const;

  void begin_writing();
  void wrote(std::size_t source, std::int64_t tokens, std::int64_t round);
  /// What was written.
  void report(DatasetManifest& manifest) const;

 private:
  struct Entry {
    std::uint64_t order = 0;  // in which documents are taken into a part of an epoch
    std::uint32_t source = 0, place = 0;
    std::int64_t tokens = 0;
  };
  struct Part {
    MixtureSource source;
    std::vector<Entry> entries;
    std::int64_t whole = 0;   // epochs
    std::uint64_t below = 0;  // documents whose order is below it come once more
  };
  base::Status add_pattern(const std::string& weight);
  base::Status place_files(const PrepareFiles& files);
  base::Status plan_part(Part& part, double tokens);
  std::uint64_t order_of(const Document& document) const;

  std::vector<Part> parts_;
  std::vector<std::size_t> part_of_;  // file
  std::size_t n_valid_ = 0;
  std::int64_t total_tokens_ = 0;
  std::uint64_t seed_ = 0;
};

}  // namespace belay::data
