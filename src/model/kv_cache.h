// Keys and values of sequences' pasts, in pages of 64 positions (ops/attention.h). The memory does
// not move, so a tape that binds it can be replayed while the pasts grow. Which page belongs to
// which sequence is the caller's: infer/pages.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "model/forward.h"

namespace belay::model {

/// The memory of pages, one run a layer.
class KvPages {
 public:
  /// compute: F32 or BF16, as the model's. kv_bits: 8 holds keys and values as bytes; 0 as they are
  /// computed.
  KvPages(const ModelConfig& config, tensor::DType compute, std::int64_t n_pages, int kv_bits = 0);
  /// Of one page, all layers.
  static std::int64_t page_bytes(const ModelConfig& config, tensor::DType compute, int kv_bits = 0);

  std::vector<tensor::Id> bind(tensor::Tape& tape) const;
  /// The same without memory, for a tape that is only measured.
  static std::vector<tensor::Id> bind_nothing(tensor::Tape& tape, const ModelConfig& config,
                                              tensor::DType compute, std::int64_t n_pages,
                                              int kv_bits = 0);
  /// Page `to` becomes what page `from` is, in every layer.
  void copy(std::int32_t from, std::int32_t to);
  std::int64_t n_pages() const { return n_pages_; }
  int kv_bits() const { return kv_bits_; }

 private:
  std::int64_t n_pages_, words_;
  int kv_bits_;
  std::vector<base::Buffer> layers_;
};

/// The segments of a batch (ops::Segment) in memory whose address does not change.
class Segments {
 public:
  /// Room for so many segments and, in all their tables together, pages.
  Segments(std::int64_t n_segments, std::int64_t n_pages);
  void clear();
  /// Rows [row, row + n_rows) go on from position `past` of a sequence with these pages, which are
  /// enough for past + n_rows positions.
  void add(std::int64_t row, std::int64_t n_rows, std::int64_t past,
           std::span<const std::int32_t> pages);
  tensor::Id bind(tensor::Tape& tape);

 private:
  std::size_t room_, used_ = 0;
  std::vector<std::int32_t> memory_;
};

/// Pages for one sequence of up to `capacity` positions, and the segment of a batch's rows.
class KvCache {
 public:
  KvCache(const ModelConfig& config, tensor::DType compute, std::int64_t capacity, int kv_bits = 0);
  static std::int64_t bytes_needed(const ModelConfig& config, tensor::DType compute,
                                   std::int64_t capacity, int kv_bits = 0);

  CacheIds bind(tensor::Tape& tape);
  /// The same without memory, for a tape that is only measured.
  static CacheIds bind_nothing(tensor::Tape& tape, const ModelConfig& config, tensor::DType compute,
                               std::int64_t capacity, int kv_bits = 0);
  std::int64_t capacity() const { return capacity_; }
  /// The next batch's n_rows rows stand at positions past, past + 1, ...
  void set(std::int64_t past, std::int64_t n_rows);

 private:
  std::int64_t capacity_;
  KvPages pages_;
  std::vector<std::int32_t> table_;
  Segments segments_;
};

}  // namespace belay::model
