// Composes GGUF files byte by byte, right ones and wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include "store/gguf_header.h"

namespace belay::test {

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return raw<std::uint64_t>(text.size()) + std::string(text);
}

/// "GGUF", version and counts.
inline std::string gguf_head(std::uint64_t n_tensors, std::uint64_t n_keys,
                             std::uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(n_tensors) + raw(n_keys);
}

inline std::string gguf_key(std::string_view key, store::GgufKind kind, const std::string& value) {
  return gguf_string(key) + raw(static_cast<std::uint32_t>(kind)) + value;
}

inline std::string gguf_array(store::GgufKind element, std::uint64_t count,
                              const std::string& elements) {
  return raw(static_cast<std::uint32_t>(element)) + raw(count) + elements;
}

inline std::string gguf_tensor(std::string_view name, std::initializer_list<std::uint64_t> dims,
                               std::uint32_t type, std::uint64_t offset) {
  std::string bytes = gguf_string(name) + raw(static_cast<std::uint32_t>(dims.size()));
  for (const std::uint64_t dim : dims) bytes += raw(dim);
  return bytes + raw(type) + raw(offset);
}

/// Zeros up to the alignment, then the data.
inline std::string gguf_with_data(std::string header, std::size_t data_bytes,
                                  std::size_t alignment = 32) {
  header.resize((header.size() + alignment - 1) / alignment * alignment, '\0');
  return header + std::string(data_bytes, '\0');
}

}  // namespace belay::test
