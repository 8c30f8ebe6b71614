#include "model/kv_cache.h"

#include "base/status.h"

namespace belay::model {
namespace {

tensor::Shape shape_of(const ModelConfig& config, std::int64_t capacity) {
  return {capacity, config.n_kv_heads, config.head_dim};
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, tensor::DType compute, std::int64_t capacity)
    : capacity_(capacity), compute_(compute), shape_(shape_of(config, capacity)) {
  const std::int64_t bytes = shape_.count() * tensor::dtype_bytes(compute);
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) {
    k_.emplace_back(bytes);
    v_.emplace_back(bytes);
  }
}

std::int64_t KvCache::bytes_needed(const ModelConfig& config, tensor::DType compute,
                                   std::int64_t capacity) {
  return 2 * config.n_layers * capacity * config.kv_size() * tensor::dtype_bytes(compute);
}

CacheIds KvCache::bind(tensor::Tape& tape) {
  CacheIds ids;
  ids.past = tape.external({&past_, {1}, tensor::DType::kI32});
  for (std::size_t layer = 0; layer < k_.size(); ++layer) {
    ids.k.push_back(tape.external({k_[layer].data(), shape_, compute_}));
    ids.v.push_back(tape.external({v_[layer].data(), shape_, compute_}));
  }
  return ids;
}

CacheIds KvCache::bind_nothing(tensor::Tape& tape, const ModelConfig& config, tensor::DType compute,
                               std::int64_t capacity) {
  CacheIds ids;
  ids.past = tape.external({nullptr, {1}, tensor::DType::kI32});
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) {
    ids.k.push_back(tape.external({nullptr, shape_of(config, capacity), compute}));
    ids.v.push_back(tape.external({nullptr, shape_of(config, capacity), compute}));
  }
  return ids;
}

void KvCache::set_past(std::int64_t past) {
  BELAY_CHECK(past >= 0 && past <= capacity_, "the past fits into the cache");
  past_ = static_cast<std::int32_t>(past);
}

}  // namespace belay::model
