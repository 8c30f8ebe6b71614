// Writes a GGUF file of version 3 (gguf_header.h has the format): streaming, whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/gguf_header.h"

namespace belay::store {

/// Keys and values in the order in which they are added, each key once.
class GgufKeys {
 public:
  void add_u32(std::string_view key, std::uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::span<const std::string> values);
  void add_f32s(std::string_view key, std::span<const float> values);
  void add_i32s(std::string_view key, std::span<const std::int32_t> values);

  std::uint64_t count() const { return count_; }
  std::string_view bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, GgufKind kind);
  void begin_array(std::string_view key, GgufKind element, std::size_t count);
  template <class T>
  void put(T value);
  void put_string(std::string_view text);

  std::string bytes_;
  std::uint64_t count_ = 0;
};

/// Takes the next bytes of a tensor.
using GgufSink = std::function<base::Status(std::span<const std::byte>)>;

struct GgufTensorToWrite {
  std::string name;
  std::uint32_t type_id = 0;       // a known type
  std::vector<std::int64_t> dims;  // the fastest first, whole blocks
  /// Gives all its bytes to the sink, in any pieces.
  std::function<base::Status(const GgufSink&)> data;
};

/// Replaces `path`.
base::Status write_gguf(base::Env& env, const std::string& path, const GgufKeys& keys,
                        std::span<const GgufTensorToWrite> tensors);

}  // namespace belay::store
