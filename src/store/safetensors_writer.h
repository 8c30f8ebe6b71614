// Writes a safetensors file: streaming, whole or not at all, with the checksum of every tensor in
// "__metadata__". The order of the tensors is the caller's, F32 before BF16, so that all are
// aligned.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "tensor/dtype.h"

namespace belay::store {

struct TensorToWrite {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;  // kF32, or kBF16: rounded to nearest, ties to even
  std::vector<std::int64_t> shape;
  std::span<const float> values = {};  // product of the shape
};

/// Replaces `path`. `metadata` keys must not begin with "xxh3:". Values are written as they are:
/// NaN and infinities too. The memory used is a small buffer.
base::Status write_safetensors(base::Env& env, const std::string& path,
                               std::span<const TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace belay::store
