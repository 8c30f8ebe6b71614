#include "model/kv_cache.h"

#include <cstring>
#include <numeric>

#include "base/status.h"
#include "ops/attention.h"
#include "ops/matmul.h"

namespace belay::model {
namespace {

std::int64_t words_of(const ModelConfig& config, tensor::DType compute, int kv_bits) {
  return ops::page_words(config.n_kv_heads, config.head_dim, compute, kv_bits);
}

constexpr std::int64_t kSegmentInts = sizeof(ops::Segment) / sizeof(std::int32_t);

}  // namespace

KvPages::KvPages(const ModelConfig& config, tensor::DType compute, std::int64_t n_pages,
                 int kv_bits)
    : n_pages_(n_pages), words_(words_of(config, compute, kv_bits)), kv_bits_(kv_bits) {
  BELAY_CHECK(kv_bits == 0 || kv_bits == 8, "keys and values of 8 bits, or as computed");
  for (std::int64_t layer = 0; layer < config.n_layers; ++layer) {
    layers_.emplace_back(n_pages * words_ * 4);
  }
}

std::int64_t KvPages::page_bytes(const ModelConfig& config, tensor::DType compute, int kv_bits) {
  return config.n_layers * words_of(config, compute, kv_bits) * 4;
}

std::vector<tensor::Id> KvPages::bind(tensor::Tape& tape) const {
  std::vector<tensor::Id> ids;
  for (const base::Buffer& layer : layers_) {
    ids.push_back(tape.external({layer.data(), {n_pages_, words_}, tensor::DType::kI32}));
  }
  return ids;
}

std::vector<tensor::Id> KvPages::bind_nothing(tensor::Tape& tape, const ModelConfig& config,
                                              tensor::DType compute, std::int64_t n_pages,
                                              int kv_bits) {
  const tensor::View none{
      nullptr, {n_pages, words_of(config, compute, kv_bits)}, tensor::DType::kI32};
  std::vector<tensor::Id> ids;
  for (std::int64_t l = 0; l < config.n_layers; ++l) ids.push_back(tape.external(none));
  return ids;
}

void KvPages::copy(std::int32_t from, std::int32_t to) {
  const std::int64_t bytes = words_ * 4;
  for (const base::Buffer& layer : layers_) {
    std::memcpy(layer.data() + to * bytes, layer.data() + from * bytes,
                static_cast<std::size_t>(bytes));
  }
}

Segments::Segments(std::int64_t n_segments, std::int64_t n_pages)
    : room_(static_cast<std::size_t>(1 + n_segments * kSegmentInts)),
      memory_(room_ + static_cast<std::size_t>(n_pages), 0) {
  clear();
}

void Segments::clear() {
  memory_[0] = 0;
  used_ = room_;
}

void Segments::add(std::int64_t row, std::int64_t n_rows, std::int64_t past,
                   std::span<const std::int32_t> pages) {
  const std::size_t at = 1 + static_cast<std::size_t>(memory_[0] * kSegmentInts);
  BELAY_CHECK(at + kSegmentInts <= room_ && used_ + pages.size() <= memory_.size(),
              "room for the segment and its pages");
  const auto enough = static_cast<std::int64_t>(pages.size()) * ops::kPageTokens;
  BELAY_CHECK(n_rows > 0 && past + n_rows <= enough, "pages for every position");
  const ops::Segment segment{static_cast<std::int32_t>(row), static_cast<std::int32_t>(n_rows),
                             static_cast<std::int32_t>(past), static_cast<std::int32_t>(used_)};
  std::memcpy(&memory_[at], &segment, sizeof segment);
  std::copy(pages.begin(), pages.end(), memory_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ += pages.size();
  ++memory_[0];
}

tensor::Id Segments::bind(tensor::Tape& tape) {
  return tape.external(
      {memory_.data(), {static_cast<std::int64_t>(memory_.size())}, tensor::DType::kI32});
}

KvCache::KvCache(const ModelConfig& config, tensor::DType compute, std::int64_t capacity,
                 int kv_bits)
    : capacity_(capacity),
      pages_(config, compute, ops::ceil_div(capacity, ops::kPageTokens), kv_bits),
      table_(static_cast<std::size_t>(pages_.n_pages())),
      segments_(1, pages_.n_pages()) {
  std::iota(table_.begin(), table_.end(), 0);
}

std::int64_t KvCache::bytes_needed(const ModelConfig& config, tensor::DType compute,
                                   std::int64_t capacity, int kv_bits) {
  return ops::ceil_div(capacity, ops::kPageTokens) * KvPages::page_bytes(config, compute, kv_bits);
}

CacheIds KvCache::bind(tensor::Tape& tape) {
  return {segments_.bind(tape), pages_.bind(tape), pages_.kv_bits()};
}

CacheIds KvCache::bind_nothing(tensor::Tape& tape, const ModelConfig& config, tensor::DType compute,
                               std::int64_t capacity, int kv_bits) {
  return {tape.external({nullptr, {1}, tensor::DType::kI32}),
          KvPages::bind_nothing(tape, config, compute, ops::ceil_div(capacity, ops::kPageTokens),
                                kv_bits),
          kv_bits};
}

void KvCache::set(std::int64_t past, std::int64_t n_rows) {
  BELAY_CHECK(past >= 0 && past + n_rows <= capacity_, "room for the rows");
  segments_.clear();
  segments_.add(0, n_rows, past, table_);
}

}  // namespace belay::model
