// Ids of pieces seen lately: 1 MiB, two entries a cache line, the older one gives way. Only pieces
// of at most 15 bytes and three ids are kept; their bytes are the key, so an answer is never wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "text/token_table.h"

namespace belay::text {

class WordCache {
 public:
  static constexpr std::size_t kMaxBytes = 15, kMaxIds = 3;

  struct Key {
    std::uint64_t low, high;  // the bytes, zeros, and in the last byte their number
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    std::uint32_t ids[kMaxIds];
    std::uint32_t n_ids;
  };

  WordCache() : lines_(kLines) {}

  /// The key of a piece of at most kMaxBytes; `end` is where readable memory ends.
  static Key key_of(const char* p, std::size_t size, const char* end) {
    Key key{0, 0};
    if (end - p >= 16) {
      std::memcpy(&key, p, 16);
      // Shifts by 64 are undefined, hence the two steps.
      if (size < 8) {
        key.low &= (std::uint64_t{1} << 8 * size) - 1;
        key.high = 0;
      } else {
        key.high &= (std::uint64_t{1} << 8 * (size - 8)) - 1;
      }
    } else {
      std::memcpy(&key, p, size);
    }
    key.high |= static_cast<std::uint64_t>(size) << 56;
    return key;
  }

  /// The entry of the key, or null. What is found is newest afterwards.
  const Entry* find(const Key& key) {
    Line& line = lines_[index(key)];
    if (line.entries[0].key == key) return &line.entries[0];
    if (line.entries[1].key != key) return nullptr;
    std::swap(line.entries[0], line.entries[1]);
    return &line.entries[0];
  }
  void insert(const Key& key, const std::uint32_t* ids, std::size_t n_ids) {
    Line& line = lines_[index(key)];
    line.entries[1] = line.entries[0];
    line.entries[0].key = key;
    std::memcpy(line.entries[0].ids, ids, n_ids * sizeof(std::uint32_t));
    line.entries[0].n_ids = static_cast<std::uint32_t>(n_ids);
  }

 private:
  static constexpr std::size_t kLines = 1 << 14;
  struct alignas(64) Line {
    Entry entries[2];
  };
  static std::size_t index(const Key& key) { return mix(key.low, key.high) & (kLines - 1); }
  std::vector<Line> lines_;  // a key of zeros names the empty piece, which is never asked for
};

/// Room for one call of encode, kept from call to call.
struct EncodeScratch {
  WordCache cache;
  std::vector<std::uint32_t> ids;
};

/// Hands out scratch to as many threads as encode at one time.
class ScratchPool {
 public:
  class Lease {
   public:
    Lease(ScratchPool& pool, std::unique_ptr<EncodeScratch> scratch)
        : pool_(pool), scratch_(std::move(scratch)) {}
    ~Lease() { pool_.give_back(std::move(scratch_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    EncodeScratch& operator*() const { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<EncodeScratch> scratch_;
  };

  Lease take() {
    std::unique_ptr<EncodeScratch> scratch;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        scratch = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (scratch == nullptr) scratch = std::make_unique<EncodeScratch>();
    return {*this, std::move(scratch)};
  }

 private:
  void give_back(std::unique_ptr<EncodeScratch> scratch) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }
  std::mutex mutex_;
  std::vector<std::unique_ptr<EncodeScratch>> idle_;
};

}  // namespace belay::text
