// Shapes of up to four dimensions, and views: a pointer, a shape, an element type. A view owns
// nothing.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "tensor/dtype.h"

namespace belay::tensor {

/// Row-major extents. The product is known to fit in 63 bits: sizes from files are checked where
/// they enter (store/, model/), before a Shape is made of them.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<std::int64_t> dims) {
    for (std::int64_t d : dims) dims_[static_cast<std::size_t>(rank_++)] = d;
  }
  constexpr int rank() const { return rank_; }
  constexpr std::int64_t operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }
  constexpr std::int64_t count() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
  }
  constexpr std::int64_t last() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  constexpr std::int64_t rows() const { return last() == 0 ? 0 : count() / last(); }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

/// A dense row-major tensor that lives elsewhere.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kF32;

  explicit operator bool() const { return data != nullptr; }
  std::int64_t count() const { return shape.count(); }
  std::int64_t bytes() const { return stored_bytes(dtype, count()); }
  float* f32() const { return assert(dtype == DType::kF32), static_cast<float*>(data); }
  bf16* b16() const { return assert(dtype == DType::kBF16), static_cast<bf16*>(data); }
  std::int32_t* i32() const {
    return assert(dtype == DType::kI32), static_cast<std::int32_t*>(data);
  }
};

}  // namespace belay::tensor
