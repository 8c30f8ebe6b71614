// Sums over rows for the gradients of vectors (norm weights, biases): each chunk of kSumRows rows
// sums into its own row of scratch, then the chunks are added in order. The order follows from the
// number of rows alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/context.h"

namespace belay::ops {

constexpr std::int64_t kSumRows = 64;

/// Scratch for one sum over `rows` rows.
constexpr std::int64_t partial_sums_bytes(std::int64_t rows, std::int64_t width) {
  return (rows + kSumRows - 1) / kSumRows * width * static_cast<std::int64_t>(sizeof(float));
}

class PartialSums {
 public:
  /// scratch null: nothing is summed.
  PartialSums(std::byte* scratch, std::int64_t width)
      : sums_(reinterpret_cast<float*>(scratch)), width_(width) {}

  /// The cleared sums of one chunk, or null.
  float* begin_chunk(std::int64_t chunk) const {
    if (sums_ == nullptr) return nullptr;
    std::fill_n(sums_ + chunk * width_, width_, 0.0f);
    return sums_ + chunk * width_;
  }
  /// to[i] (+)= the chunks' sums in order.
  void finish(base::Context& ctx, std::int64_t rows, float* to, bool add) const;

 private:
  float* sums_;
  std::int64_t width_;
};

}  // namespace belay::ops
