// Training of byte pair encoding: from the counts of pieces to merges.
//
// The rule: the pair of neighbours with the largest count is merged everywhere, and so on until the
// vocabulary is full. Of equal counts the pair with the smaller left id goes first, then the one
// with the smaller right id; ids are those of GPT-2: bytes in the order of their symbols, then
// merges as they were made. (Hugging Face's trainer breaks ties alike.) Counts are exact in 64
// bits, so the result follows from the pieces alone.
//
// Cost: each merge visits the places where its pair stands, and no other; the next pair comes from
// a heap whose stale entries are corrected when they surface. Memory: about 16 bytes for each byte
// of different pieces.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/piece_counts.h"
#include "text/tokenizer_spec.h"

namespace belay::text {

struct TrainOptions {
  std::int64_t vocab_size = 0;  // bytes, merges and special tokens
  Split split = Split::kCl100k;
  bool nfc = false;
  std::vector<std::string> specials = {};  // get the last ids
  std::uint64_t least_count = 2;           // a pair seen less often is not merged
  /// Called now and then with the number of tokens so far; may be empty.
  std::function<void(std::int64_t)> progress = {};
};

/// kInvalidArgument when the size of the vocabulary or the special tokens cannot be meant.
base::Status check_train_options(const TrainOptions& options);

/// kInvalidArgument also when the vocabulary is larger than the pieces support.
base::Result<Tokenizer> train_bpe(PieceTable pieces, const TrainOptions& options);

}  // namespace belay::text
