// A GGUF file: keys by name with typed getters, tensors as the bytes that lie in the file. The file
// is mapped, read-only, and treated as hostile (gguf_header.h). What the weights' block formats
// mean is ops/quant_blocks.h's business, what the keys mean the model's and the tokenizer's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/gguf_header.h"

namespace belay::store {

class GgufFile {
 public:
  static base::Result<GgufFile> open(base::Env& env, const std::string& path);

  const std::string& path() const { return path_; }
  std::uint32_t version() const { return header_.version; }
  /// In alphabetical order.
  std::vector<std::string_view> keys() const;
  bool has(std::string_view key) const { return header_.values.contains(key); }
  bool is_array(std::string_view key) const;

  // Getters. require_* fails when the key is missing; optional_* then gives the fallback. Bounds
  // are inclusive. Whole numbers may have any of the file's integer kinds, real ones f32 or f64.
  base::Result<std::int64_t> require_int(std::string_view key, std::int64_t min,
                                         std::int64_t max) const;
  base::Result<std::int64_t> optional_int(std::string_view key, std::int64_t min, std::int64_t max,
                                          std::int64_t fallback) const;
  base::Result<double> require_double(std::string_view key, double min, double max) const;
  base::Result<double> optional_double(std::string_view key, double min, double max,
                                       double fallback) const;
  base::Result<bool> optional_bool(std::string_view key, bool fallback) const;
  base::Result<std::string> require_string(std::string_view key) const;
  base::Result<std::string> optional_string(std::string_view key, std::string_view fallback) const;
  // A whole array, of at most max_count elements.
  base::Result<std::vector<std::int64_t>> ints(std::string_view key, std::int64_t min,
                                               std::int64_t max, std::size_t max_count) const;
  base::Result<std::vector<float>> floats(std::string_view key, std::size_t max_count) const;
  base::Result<std::vector<std::string>> strings(std::string_view key, std::size_t max_count) const;

  /// A failure at a key: fills in where and seen.
  base::Status error(base::Code code, std::string_view key, std::string what,
                     std::string allowed = {}, std::string next = {}) const;

  /// Ordered by name.
  const std::vector<GgufTensor>& tensors() const { return header_.tensors; }
  /// The tensor of that name, or null.
  const GgufTensor* find(std::string_view name) const;
  /// "FILE: tensor 'NAME'", for messages.
  std::string where(const GgufTensor& tensor) const;
  /// The stored bytes; empty where the type is not known.
  std::span<const std::byte> bytes(const GgufTensor& tensor) const;

 private:
  const GgufValue* value(std::string_view key) const;
  base::Result<const GgufValue*> scalar(std::string_view key) const;
  base::Result<const GgufValue*> array(std::string_view key, std::size_t max_count) const;
  std::string where(std::string_view key) const;

  std::string path_;
  base::MappedFile file_;
  GgufHeader header_;  // its spans point into file_
};

}  // namespace belay::store
