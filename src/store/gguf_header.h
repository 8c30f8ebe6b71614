// The header of a GGUF file, versions 2 and 3, read as hostile input. The format, little-endian, as
// the GGUF specification has it (ggml, docs/gguf.md):
//   "GGUF" | u32 version | u64 tensors | u64 keys | keys and values | tensor infos | padding | data
//   string:      u64 bytes | UTF-8
//   key value:   string key | u32 kind | value; an array: u32 kind of its elements | u64 count |
//   them tensor info: string name | u32 n_dims | u64 dims[n_dims] | u32 type | u64 offset
// dims count from the fastest one; offsets from the start of the data, which like every offset is a
// multiple of general.alignment (32 when absent).
//
// Every count is held against the bytes that are left before anything is kept, and what is kept
// points into the file: nothing is allocated in proportion to what the file merely claims. Arrays
// in arrays, which the specification allows and no model has, are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace belay::store {

/// What a value is, by its number in the file.
enum class GgufKind : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
/// "u8", ..., "string", "array"; "?" for a number that is no kind.
std::string_view gguf_kind_name(GgufKind kind);
/// Bytes of one scalar; 0 for strings and arrays.
std::size_t gguf_kind_bytes(GgufKind kind);

struct GgufValue {
  GgufKind kind = GgufKind::kU8;
  GgufKind element = GgufKind::kU8;  // of an array; never kArray
  std::uint64_t count = 1;           // elements of an array
  std::span<const std::byte> bytes;  // scalar; text of a string; elements as they lie in the file
};

/// A way to store weights: `block_weights` neighbours along the fastest dimension in `block_bytes`.
struct GgufType {
  std::uint32_t id = 0;
  std::string_view name;  // "Q8_0"
  std::int64_t block_weights = 1;
  std::int64_t block_bytes = 0;
};
/// The known type of that number, or null.
const GgufType* find_gguf_type(std::uint32_t id);

/// A tensor of a file; all fields are consistent with each other and with the file's size.
struct GgufTensor {
  std::string name;
  std::uint32_t type_id = 0;
  const GgufType* type = nullptr;  // null: its bytes are not known, and begin == end
  std::vector<std::int64_t> dims;  // the fastest first, at most kMaxGgufDims, each at least 1
  std::int64_t count = 1;          // their product
  std::uint64_t begin = 0;         // bytes from the start of the file's data
  std::uint64_t end = 0;
};

constexpr std::size_t kMaxGgufDims = 4;
constexpr std::uint64_t kMaxGgufTensors = 1 << 18;
constexpr std::uint64_t kMaxGgufKeys = 1 << 16;
constexpr std::uint64_t kMaxGgufKeyBytes = 65535;
constexpr std::uint64_t kMaxGgufNameBytes = 64;
constexpr std::uint64_t kDefaultGgufAlignment = 32;
constexpr std::uint64_t kMaxGgufAlignment = 1 << 16;

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = kDefaultGgufAlignment;
  std::map<std::string, GgufValue, std::less<>> values;
  std::vector<GgufTensor> tensors;  // ordered by offset
  std::uint64_t data_start = 0;     // bytes from the start of the file; at most its size
};

/// The bytes begin as those of a GGUF file do.
bool is_gguf(std::span<const std::byte> bytes);

/// Reads and checks the header of a whole file, which must outlive it; `file` is what messages call
/// it.
base::Result<GgufHeader> parse_gguf_header(std::span<const std::byte> bytes, std::string_view file);

}  // namespace belay::store
