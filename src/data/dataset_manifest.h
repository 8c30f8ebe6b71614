// dataset.json: what a prepared dataset consists of. It is written last, so that a folder without
// it is no dataset, and ends in a checksum of itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::data {

inline constexpr const char* kManifestName = "dataset.json";
/// The most documents, bytes or tokens that it may speak of: whole numbers of a double.
inline constexpr std::int64_t kMostCounted = std::int64_t{1} << 53;

enum class Split : std::uint8_t { kTrain, kValid };
inline constexpr std::array<Split, 2> kSplits = {Split::kTrain, Split::kValid};
/// "train", "valid".
std::string_view split_name(Split split);

struct DroppedCount {
  std::int64_t documents = 0, text_bytes = 0;
};

/// What a rule for quality dropped (data/quality.h).
struct FilterCount {
  std::string rule;
  double limit = 0;
  DroppedCount dropped;
};

/// What was dropped because another document says nearly the same (data/near_duplicates.h).
struct NearDuplicateCounts {
  struct Source {
    std::string file;
    DroppedCount dropped;
  };
  struct Example {
    std::string dropped, kept;  // "books.txt, document 12"
    double likeness = 0;
  };
  double threshold = 0;  // 0: none were looked for
  DroppedCount dropped;
  std::int64_t from_training = 0;  // of these, because a document for validation is like them
  std::vector<Source> sources;
  std::vector<Example> examples;
};

/// A part of a mixture: the training files of a pattern (data/mixture.h).
struct MixtureSource {
  std::string pattern;
  double share = 0;  // of training tokens, as asked for
  std::int64_t files = 0;
  std::int64_t documents = 0, held_tokens = 0;  // that the files hold
  double epochs = 0;                            // asked for: share of all / held
  std::int64_t tokens = 0, unique_tokens = 0;   // written; of these, different ones
};

struct DatasetManifest {
  struct File {
    std::string name;  // in the folder
    std::uint64_t bytes = 0;
    std::uint64_t xxh3 = 0;  // of a shard: its header's (store::shard_xxh3); else of the content
  };
  struct Part {
    std::int64_t documents = 0, tokens = 0, text_bytes = 0;
    std::vector<File> shards;
  };

  std::uint64_t tokenizer = 0;  // fingerprint
  std::int64_t vocab_size = 0;
  std::optional<std::int32_t> end_of_text;
  std::vector<File> tokenizer_files;
  std::array<Part, 2> splits;  // by Split
  std::vector<std::string> sources;
  /// Training tokens without repetitions of documents: what a law of data counts.
  std::int64_t unique_train_tokens = 0;

  // How it came about; nothing is computed from these.
  std::string field;
  double valid_fraction = 0;
  bool valid_given = false;  // as files of its own
  std::string held_out;      // what was cut off for validation where no document fell there
  std::int64_t duplicates = 0, duplicate_bytes = 0;  // dropped
  std::int64_t empty = 0;                            // documents without text, dropped
  std::int64_t cut = 0;                              // documents cut because they were too long
  std::vector<std::string> skipped;                  // files
  std::vector<FilterCount> filters;
  NearDuplicateCounts near_duplicates;
  std::vector<MixtureSource> mixture;  // none: every document once

  const Part& part(Split split) const { return splits[static_cast<std::size_t>(split)]; }
  Part& part(Split split) { return splits[static_cast<std::size_t>(split)]; }
};

std::string manifest_text(const DatasetManifest& manifest);
/// `file` is what messages call it. Names of files are plain names; counts are not yet compared
/// with what the shards hold.
base::Result<DatasetManifest> parse_manifest(std::string_view text, const std::string& file);

}  // namespace belay::data
