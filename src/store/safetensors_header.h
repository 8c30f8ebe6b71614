// The header of a safetensors file, read as hostile input. The format:
//   8 bytes N (little-endian) | N bytes of JSON, '{' first, spaces at the end | data
//   {"__metadata__": {text: text}, NAME: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0,
//   24]}}
// Offsets count from the start of the data; the tensors cover it without gap or overlap.
// https://huggingface.co/docs/safetensors (format section).
//
// The JSON is walked, never built: what is kept grows only with the tensors named, and every number
// is checked where it stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace belay::store {

/// How a file stores an element: every type that the format defines, whether or not we compute with
/// it.
struct StoredType {
  std::string_view name;                              // "F32", as the file spells it
  int bits = 0;                                       // of one element
  std::optional<tensor::DType> dtype = std::nullopt;  // ours, when read_f32 can read it
};

/// The known type of that name, or null.
const StoredType* find_stored_type(std::string_view name);

/// A tensor of a file; all fields are consistent with each other and with the file's size.
struct TensorInfo {
  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;  // at most kMaxDims entries
  std::int64_t count = 1;           // product of the shape
  std::uint64_t begin = 0;          // bytes from the start of the file's data
  std::uint64_t end = 0;
  std::size_t file = 0;                              // index of the shard
  std::optional<std::uint64_t> xxh3 = std::nullopt;  // of the stored bytes, when the file gives it
};

constexpr std::size_t kMaxDims = 8;
constexpr std::size_t kMaxTensors = 1 << 18;  // of one file; more would only exhaust memory
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation has it
/// "__metadata__" entries "xxh3:NAME" hold the checksum of a tensor's bytes, 16 hexadecimal digits.
constexpr std::string_view kChecksumPrefix = "xxh3:";

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // ordered by offset
  std::map<std::string, std::string> metadata;
  std::uint64_t data_start = 0;  // bytes from the start of the file
};

/// Reads and checks the header of a whole file; `file` is what messages call it.
base::Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> bytes,
                                                         std::string_view file);

/// "[2, 3]"
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace belay::store
