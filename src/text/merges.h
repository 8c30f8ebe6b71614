// Byte pair encoding of one piece: while two neighbours have a merge, the one of the lowest rank
// (of equal ranks the leftmost) is done. Exact for any table of merges, those of tiktoken included,
// where a later merge may rank below an earlier one.
//
// Short pieces: a vector scan for the lowest rank before each merge. Long pieces: positions in one
// list a rank, in the order of the ranks; each list is sorted once, so n log n in any case, and
// linear for a piece of one repeated character.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer_spec.h"

namespace belay::text {

class MergeTable {
 public:
  static constexpr std::uint32_t kNone = (1u << 24) - 1;  // a rank above all

  MergeTable() = default;
  /// Ids below kMaxVocabulary, ranks below kNone. Of two merges of one pair the later counts.
  explicit MergeTable(std::span<const Merge> merges);

  /// kNone where the pair does not merge.
  std::uint32_t rank(std::uint32_t left, std::uint32_t right) const {
    const std::uint64_t key = std::uint64_t{left} << 20 | right;
    std::size_t slot = (key * 0x9E3779B97F4A7C15u) >> shift_;
    while (true) {
      const std::uint64_t e = slots_[slot];
      if (e >> 24 == key) return static_cast<std::uint32_t>(e & kNone);
      if (e == kEmpty) return kNone;
      slot = (slot + 1) & (slots_.size() - 1);
    }
  }
  /// What a merge of this rank makes.
  std::uint32_t id_of(std::uint32_t rank) const { return ids_[rank]; }

  /// Merges ids in place and gives their number afterwards.
  std::size_t merge(std::uint32_t* ids, std::size_t n) const {
    if (n <= 1) return n;
    return n <= kShort ? merge_short(ids, n) : merge_long(ids, n);
  }

 private:
  static constexpr std::size_t kShort = 128;
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::size_t merge_short(std::uint32_t* ids, std::size_t n) const;
  std::size_t merge_long(std::uint32_t* ids, std::size_t n) const;

  // left (20 bits), right (20 bits), rank (24 bits).
  std::vector<std::uint64_t> slots_ = std::vector<std::uint64_t>(2, kEmpty);
  int shift_ = 63;
  std::vector<std::uint32_t> ids_;  // by rank
};

}  // namespace belay::text
