// Training rows from a token stream. The stream is taken as a circle that is turned by a random
// offset in every epoch and cut into rows, which come in a random order: an epoch holds every token
// at most once, and all but the last n_tokens % context. In the corpus' order the circle stays as
// it is, and rows come one after the other: for text that was put in order. What a row holds is a
// pure function of (stream, context, seed, order, row), so the number of the next row is all that a
// resumed run needs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/token_stream.h"

namespace belay::data {

enum class RowOrder : std::uint8_t { kRandom, kCorpus };

class Batches {
 public:
  /// The stream outlives this and holds at least one row.
  Batches(const TokenStream& stream, std::int64_t context, std::uint64_t seed,
          RowOrder order = RowOrder::kRandom);

  std::int64_t context() const { return context_; }
  std::int64_t rows_per_epoch() const { return rows_per_epoch_; }

  /// Rows [first_row, first_row + n_rows) of the run, whose epoch is row / rows_per_epoch. ids and
  /// targets: [n_rows * context]; a target below 0 is none. lengths: of the packed documents in
  /// order; a row that begins or ends inside a document holds a piece of it. The target of a
  /// document's last token is end-of-text where documents begin with it, else none. The vectors are
  /// replaced; once they have grown nothing is allocated.
  void fill(std::int64_t first_row, std::int64_t n_rows, std::vector<std::int32_t>& ids,
            std::vector<std::int32_t>& targets, std::vector<std::int64_t>& lengths) const;

  /// Where in the stream a row begins, for messages; it goes on at token 0 where the stream ends.
  std::int64_t row_begin(std::int64_t row) const;

 private:
  const TokenStream& stream_;
  std::int64_t context_;
  std::int64_t rows_per_epoch_;
  std::uint64_t seed_;
  RowOrder order_;
};

/// Tokens [begin, begin + ids.size()) of the stream, which must exist, as documents that stay
/// apart: what fill() does for a row, for validation. Lengths are appended.
void read_documents(const TokenStream& stream, std::int64_t begin, std::span<std::int32_t> ids,
                    std::span<std::int32_t> targets, std::vector<std::int64_t>& lengths);

}  // namespace belay::data
