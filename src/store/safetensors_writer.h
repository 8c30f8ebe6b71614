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

/// A file whose bytes are written but that has not its name yet: file.commit() is left to do (its
/// fsync is what takes long).
struct StagedSafetensors {
  base::AtomicFile file;
  std::uint64_t header_xxh3 = 0;  // of the bytes before the data, which no tensor's checksum covers
};
base::Result<StagedSafetensors> stage_safetensors(
    base::Env& env, const std::string& path, std::span<const TensorToWrite> tensors,
    const std::map<std::string, std::string>& metadata = {});

/// Replaces `path`: stage and commit. `metadata` keys must not begin with "xxh3:". Values are
/// written as they are: NaN and infinities too. The memory used is a small buffer.
base::Status write_safetensors(base::Env& env, const std::string& path,
                               std::span<const TensorToWrite> tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace belay::store
