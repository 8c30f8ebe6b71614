// The tensors of a model folder: one safetensors file, or several named by an index. Files are
// mapped, read-only, and treated as hostile: open() checks everything but the element values, and
// allocates nothing in proportion to what a file merely claims. read_f32() verifies the stored
// checksum; who reads parts of a tensor calls verify().
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/safetensors_header.h"

namespace belay::store {

class TensorFiles {
 public:
  /// `path`: a .safetensors file, or a folder with model.safetensors or
  /// model.safetensors.index.json (the former wins, as elsewhere). A shard must be a plain file
  /// name in that folder; every tensor must be in the shard that the index names, and every tensor
  /// of a shard in the index.
  static base::Result<TensorFiles> open(base::Env& env, const std::string& path);

  /// Ordered by name.
  const std::vector<TensorInfo>& list() const { return tensors_; }
  /// The tensor of that name, or null.
  const TensorInfo* find(std::string_view name) const;
  /// "FILE: tensor 'NAME'", for messages.
  std::string where(const TensorInfo& tensor) const;
  /// The stored bytes, unaligned.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;
  /// XXH3 of the bytes before the data of the first file.
  std::uint64_t header_xxh3() const;
  /// "__metadata__" of the first file.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// Copies a tensor into `out` (of exactly its count), F16 and BF16 widened.
  /// Errors: no such tensor, a type that is not F32, F16 or BF16, another count, a wrong checksum.
  base::Status read_f32(std::string_view name, std::span<float> out) const;
  /// Fails when the tensor's bytes do not match their checksum, where the file gives one.
  base::Status verify(const TensorInfo& tensor) const;
  /// Copies elements from `first` on of a tensor whose type read_f32 takes, widened; they are there
  /// (checked: a bug of the caller).
  void read_elements(const TensorInfo& tensor, std::uint64_t first, std::span<float> out) const;

 private:
  struct Shard {
    std::string path;
    base::MappedFile file;
    std::uint64_t data_start = 0;
  };
  base::Status add_shard(base::Env& env, const std::string& path);
  base::Status add_indexed(base::Env& env, const std::string& folder, const std::string& index);
  base::Status sort_by_name();

  std::vector<Shard> shards_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Fails on the first NaN or infinity: "WHERE: holds a value that is not finite (seen nan at 17)".
/// first: which element values[0] is.
base::Status check_finite(std::span<const float> values, std::string_view where,
                          std::uint64_t first = 0);
base::Status check_finite(std::span<const tensor::bf16> values, std::string_view where,
                          std::uint64_t first = 0);

}  // namespace belay::store
