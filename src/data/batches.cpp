#include "data/batches.h"

#include <algorithm>

#include "base/rng.h"
#include "base/status.h"

namespace belay::data {
namespace {

constexpr int kRounds = 6;

/// A random permutation of [0, n) that needs no table: a Feistel network over the smallest even
/// number of bits that holds n, applied again while the result is outside. Luby, Rackoff, "How to
/// construct pseudorandom permutations from pseudorandom functions", 1988; Black, Rogaway, "Ciphers
/// with arbitrary finite domains", 2002.
std::int64_t permuted(const base::Rng& rng, std::int64_t index, std::int64_t n) {
  int half = 1;
  while (half < 31 && (std::int64_t{1} << (2 * half)) < n) ++half;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  auto x = static_cast<std::uint64_t>(index);
  do {
    std::uint64_t left = x >> half, right = x & mask;
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      const std::uint64_t mixed = left ^ (rng.bits(round << 40 | right) & mask);
      left = right;
      right = mixed;
    }
    x = left << half | right;
  } while (x >= static_cast<std::uint64_t>(n));
  return static_cast<std::int64_t>(x);
}

}  // namespace

Batches::Batches(const TokenStream& stream, std::int64_t context, std::uint64_t seed,
                 RowOrder order)
    : stream_(stream),
      context_(context),
      rows_per_epoch_(stream.n_tokens() / context),
      seed_(seed),
      order_(order) {
  BELAY_CHECK(context > 0 && rows_per_epoch_ > 0, "the stream holds a row");
}

std::int64_t Batches::row_begin(std::int64_t row) const {
  if (order_ == RowOrder::kCorpus) return row % rows_per_epoch_ * context_;
  const base::Rng rng(seed_, base::Purpose::kBatch,
                      static_cast<std::uint64_t>(row / rows_per_epoch_));
  const auto n_tokens = static_cast<double>(stream_.n_tokens());
  const auto offset = static_cast<std::int64_t>(rng.uniform53(0) * n_tokens);
  const std::int64_t place = permuted(rng, row % rows_per_epoch_, rows_per_epoch_);
  return (offset + place * context_) % stream_.n_tokens();
}

void Batches::fill(std::int64_t first_row, std::int64_t n_rows, std::vector<std::int32_t>& ids,
                   std::vector<std::int32_t>& targets, std::vector<std::int64_t>& lengths) const {
  const auto width = static_cast<std::size_t>(context_);
  ids.resize(static_cast<std::size_t>(n_rows) * width);
  targets.resize(ids.size());
  lengths.clear();
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t begin = row_begin(first_row + r);
    const std::size_t at = static_cast<std::size_t>(r) * width;
    const std::size_t before_end =
        std::min(width, static_cast<std::size_t>(stream_.n_tokens() - begin));
    const std::span row_ids(ids.data() + at, width), row_targets(targets.data() + at, width);
    read_documents(stream_, begin, row_ids.first(before_end), row_targets.first(before_end),
                   lengths);
    read_documents(stream_, 0, row_ids.subspan(before_end), row_targets.subspan(before_end),
                   lengths);
  }
}

void read_documents(const TokenStream& stream, std::int64_t begin, std::span<std::int32_t> ids,
                    std::span<std::int32_t> targets, std::vector<std::int64_t>& lengths) {
  if (ids.empty()) return;
  BELAY_CHECK(targets.size() == ids.size(), "a target for every id");
  stream.read(begin, ids);
  std::copy(ids.begin() + 1, ids.end(), targets.begin());
  const auto end = begin + static_cast<std::int64_t>(ids.size());
  if (end < stream.n_tokens()) stream.read(end, targets.last(1));
  std::int64_t piece = begin;
  for (std::int64_t d = stream.document_at(begin) + 1;; ++d) {
    const std::int64_t border = stream.document_begin(d);
    if (border <= end) {
      targets[static_cast<std::size_t>(border - 1 - begin)] = stream.end_of_text().value_or(-1);
    }
    lengths.push_back(std::min(border, end) - piece);
    if (border >= end) return;
    piece = border;
  }
}

}  // namespace belay::data
