// Arrays to measure with: memory that lives as long as the set, filled with numbers like those of
// training, because zeros make a processor draw less power and run at a higher clock.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/context.h"
#include "tensor/shape.h"

namespace belay::bench {

class Operands {
 public:
  explicit Operands(base::Context& ctx) : ctx_(ctx) {}

  /// Zeros.
  tensor::View empty(const tensor::Shape& shape, tensor::DType dtype);
  /// Uniform in [-1, 1): f32 or bf16. Of each row only the first `columns` elements, where given.
  tensor::View random(const tensor::Shape& shape, tensor::DType dtype, std::int64_t columns = -1);
  /// Whole numbers.
  tensor::View numbers(const std::vector<std::int32_t>& values);

 private:
  base::Context& ctx_;
  std::vector<base::Buffer> buffers_;
};

}  // namespace belay::bench
