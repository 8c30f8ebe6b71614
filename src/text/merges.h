// Byte pair encoding of one piece: while two neighbours have a merge, the one of the lowest rank
// (of equal ranks the leftmost) is done. Exact for any table of merges, those of tiktoken included,
// where a later merge may rank below an earlier one.
//
// Short pieces: a scan for the lowest rank, n² / 2 simple steps. Long pieces: positions in one list
// a rank, in the order of the ranks; each list is sorted once, so n log n in any case, and linear
// for a piece of one repeated character.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer_spec.h"

namespace belay::text {

class MergeTable {
 public:
  MergeTable() = default;
  /// Of two merges of one pair the later counts.
  explicit MergeTable(std::span<const Merge> merges);

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Entry {
    std::uint32_t left = kNone, right = kNone;  // kNone: an empty slot
    std::uint32_t rank = kNone, id = kNone;
  };

  /// rank is kNone where the pair does not merge.
  const Entry& find(std::uint32_t left, std::uint32_t right) const {
    std::size_t slot = hash(left, right) >> shift_;
    while (true) {
      const Entry& e = entries_[slot];
      if ((e.left == left && e.right == right) || e.left == kNone) return e;
      slot = (slot + 1) & (entries_.size() - 1);
    }
  }

  /// Merges ids in place and gives their number afterwards.
  std::size_t merge(std::uint32_t* ids, std::size_t n) const {
    return n <= kShort ? merge_short(ids, n) : merge_long(ids, n);
  }

 private:
  static constexpr std::size_t kShort = 96;
  static std::uint64_t hash(std::uint32_t left, std::uint32_t right) {
    return (std::uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u;
  }
  std::size_t merge_short(std::uint32_t* ids, std::size_t n) const;
  std::size_t merge_long(std::uint32_t* ids, std::size_t n) const;

  std::vector<Entry> entries_ = std::vector<Entry>(2);
  int shift_ = 63;
};

}  // namespace belay::text
