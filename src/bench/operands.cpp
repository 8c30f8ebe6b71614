#include "bench/operands.h"

#include <algorithm>

#include "base/rng.h"
#include "ops/matmul.h"

namespace belay::bench {

using tensor::DType;
using tensor::View;

View Operands::empty(const tensor::Shape& shape, DType dtype) {
  View v{nullptr, shape, dtype};
  buffers_.emplace_back(std::max<std::int64_t>(v.bytes(), 1));
  v.data = buffers_.back().data();
  return v;
}

View Operands::random(const tensor::Shape& shape, DType dtype, std::int64_t columns) {
  const View v = empty(shape, dtype);
  const std::int64_t width = shape.last(), n = columns < 0 ? width : columns;
  const base::Rng rng(1, base::Purpose::kBench, buffers_.size());
  ops::for_chunks(ctx_, shape.rows(), 16, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t i = row * width; i < row * width + n; ++i) {
        const float x = 2 * rng.uniform(static_cast<std::uint64_t>(i)) - 1;
        if (dtype == DType::kBF16) {
          v.b16()[i] = tensor::to_bf16(x);
        } else {
          v.f32()[i] = x;
        }
      }
    }
  });
  return v;
}

View Operands::numbers(const std::vector<std::int32_t>& values) {
  const View v = empty({static_cast<std::int64_t>(values.size())}, DType::kI32);
  std::copy(values.begin(), values.end(), v.i32());
  return v;
}

}  // namespace belay::bench
