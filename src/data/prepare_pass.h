// One pass of prepare() over all files: batches of records are read, then examined by all threads,
// then chosen in order, then tokenized by all threads, then written in order.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "data/dataset_writer.h"
#include "data/prepare.h"
#include "data/sources.h"

namespace belay::data {

/// Files of explicit validation come first.
struct PrepareFiles {
  std::vector<SourceFile> files;
  std::size_t n_valid = 0;
};

/// Which document gives its end to validation, where no other does.
struct HeldOut {
  std::size_t source = 0;
  std::uint64_t number = 0, begin = 0;  // as in Record
  std::size_t document_bytes = 0;
  std::size_t bytes = 0;  // of the end
};

class PreparePass {
 public:
  /// All of them outlive this. held_out: all else is for training.
  PreparePass(base::ThreadPool& threads, base::Env& env, const text::Tokenizer& tokenizer,
              const PrepareOptions& options, const PrepareFiles& files,
              std::optional<HeldOut> held_out);
  ~PreparePass();

  base::Status run(const std::atomic<bool>& stop,
                   const std::function<void(const PrepareState&)>& on_progress);
  base::Result<DatasetManifest> finish(std::vector<std::string> skipped);

  const DatasetManifest::Part& part(Split split) const { return writer_.part(split); }
  /// The longest document for training.
  const std::optional<HeldOut>& longest() const { return longest_; }

 private:
  struct Item;
  template <class Body>
  void each(Body&& body);
  base::Result<bool> fill(SourceReader& reader);
  void examine(Item& item) const;
  base::Status choose();
  Split split_of(const Item& item) const;
  bool is_held_out(const Item& item) const;
  void tokenize(Item& item) const;
  base::Status write();
  base::Status add(const Item& item, Split split, std::size_t begin, std::size_t bytes,
                   const std::vector<std::int32_t>& ids);

  base::ThreadPool& threads_;
  base::Env& env_;
  const text::Tokenizer& tokenizer_;
  const PrepareOptions& options_;
  const PrepareFiles& files_;
  std::optional<HeldOut> held_out_, longest_;
  DatasetWriter writer_;
  DatasetManifest history_;
  std::unordered_set<std::uint64_t> seen_;  // hashes of the documents so far
  std::vector<Item> items_;
};

}  // namespace belay::data
