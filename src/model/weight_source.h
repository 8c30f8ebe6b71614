// Where a model for inference takes its weights from: rows of the entries of the weight table, in
// the type in which they are stored. A folder or a file of weights is one, and so is another source
// whose rows are rounded on the way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace belay::model {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual const ModelConfig& config() const = 0;
  /// The type of entry `index`: kF32, kBF16, kQ8 or kQ4. A vector (norm, bias) is kF32.
  virtual tensor::DType type(std::size_t index) const = 0;
  /// Checks what is stored of an entry as a whole (its checksum), once, before its rows are read.
  virtual base::Status verify(std::size_t index) const = 0;
  /// Writes rows [first, first + n) of an entry to `to`, densely, in type(index): a row of a
  /// quantized type is whole blocks (tensor/dtype.h). A vector has rows of one number. Values are
  /// finite, or it is an error. Called by many threads at once.
  virtual base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                            std::byte* to) const = 0;
};

}  // namespace belay::model
