// How often each piece of a corpus occurs: what training needs to know of it. Text is split in
// parallel, each thread counts for itself and the counts are added, so that the result does not
// depend on the number of threads.
//
// Memory is bounded: when the different pieces take more than the limit, those seen least are
// forgotten (once, then twice, ...; at ends of blocks, which follow from the input alone).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/threads.h"
#include "text/split.h"
#include "text/word_cache.h"

namespace belay::text {

/// Piece to count. Short pieces are their own keys; long ones lie in one block of bytes.
class PieceTable {
 public:
  PieceTable();
  /// `end` is where readable memory ends.
  void add(const char* p, std::size_t size, const char* end, std::uint64_t count = 1) {
    if (size <= WordCache::kMaxBytes) {
      add_short(WordCache::key_of(p, size, end), count);
    } else {
      add_long({p, size}, count);
    }
  }
  void add_all(const PieceTable& other);
  std::uint64_t bytes() const;
  std::size_t size() const { return n_short_ + n_long_; }
  /// Forgets pieces with a smaller count.
  void keep(std::uint64_t least);

  /// visit(piece, count), in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Short& s : short_) {
      if (s.count > 0) {
        visit(std::string_view(reinterpret_cast<const char*>(&s.key), s.key.high >> 56), s.count);
      }
    }
    for (const Long& l : long_) {
      if (l.count > 0) visit(std::string_view(bytes_).substr(l.begin, l.size), l.count);
    }
  }

 private:
  struct Short {
    WordCache::Key key;
    std::uint64_t count;  // 0: an empty slot
  };
  struct Long {
    std::uint64_t hash, begin, size, count;
  };
  void add_short(const WordCache::Key& key, std::uint64_t count) {
    std::size_t slot = mix(key.low, key.high) & (short_.size() - 1);
    while (short_[slot].count != 0 && short_[slot].key != key) {
      slot = (slot + 1) & (short_.size() - 1);
    }
    if (short_[slot].count == 0) {
      short_[slot].key = key;
      ++n_short_;
    }
    short_[slot].count += count;
    if (2 * n_short_ > short_.size()) grow_short();
  }
  void add_long(std::string_view piece, std::uint64_t count);
  void grow_short();
  void grow_long();

  std::vector<Short> short_;
  std::vector<Long> long_;
  std::string bytes_;
  std::size_t n_short_ = 0, n_long_ = 0;
};

class PieceCounter {
 public:
  /// Texts of special tokens part the text and are not counted.
  PieceCounter(base::ThreadPool& pool, Split split, std::vector<std::string> specials, bool nfc,
               std::uint64_t max_bytes);
  /// Texts, or as much of one as ends at a safe cut.
  void add(std::span<const std::string_view> texts);
  void add(std::string_view text) { add(std::span(&text, 1)); }

  /// Bytes counted so far, special tokens left out.
  std::uint64_t n_text_bytes() const { return n_text_bytes_; }
  /// Counts below it were forgotten somewhere; 0 when all are exact.
  std::uint64_t forgotten_below() const { return forgotten_below_; }
  /// The counts of all threads in one table; the counter is empty afterwards.
  PieceTable take();

 private:
  void count(std::string_view chunk, PieceTable& table) const;
  void chop(std::string_view segment, std::vector<std::string_view>& chunks) const;
  void limit();

  base::ThreadPool& pool_;
  Split split_;
  std::vector<std::string> specials_;
  bool nfc_;
  std::uint64_t max_bytes_;
  std::uint64_t n_text_bytes_ = 0, forgotten_below_ = 0;
  std::vector<PieceTable> tables_;  // by worker
};

}  // namespace belay::text
