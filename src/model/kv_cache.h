// Keys and values of one document's past, for the cached attention: plain rows, one document. The
// memory does not move, so a tape that binds it can be replayed while the past grows.
#pragma once

#include <cstdint>
#include <vector>

#include "model/forward.h"

namespace belay::model {

class KvCache {
 public:
  /// Room for `capacity` positions. compute: F32 or BF16, as the model's.
  KvCache(const ModelConfig& config, tensor::DType compute, std::int64_t capacity);
  static std::int64_t bytes_needed(const ModelConfig& config, tensor::DType compute,
                                   std::int64_t capacity);

  CacheIds bind(tensor::Tape& tape);
  /// The same without memory, for a tape that is only measured.
  static CacheIds bind_nothing(tensor::Tape& tape, const ModelConfig& config, tensor::DType compute,
                               std::int64_t capacity);
  std::int64_t capacity() const { return capacity_; }
  /// Positions that hold keys and values; a replay appends its rows behind them.
  std::int64_t past() const { return past_; }
  void set_past(std::int64_t past);

 private:
  std::int64_t capacity_;
  tensor::DType compute_;
  tensor::Shape shape_;
  std::int32_t past_ = 0;
  std::vector<base::Buffer> k_, v_;  // of each layer
};

}  // namespace belay::model
