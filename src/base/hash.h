// XXH3, 64 bits: the checksum of tensors and shards. It finds flipped bits; it is no defence
// against a person who means harm. SHA-256 (OpenSSL's): the identity of what a person could want to
// change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace belay::base {

/// XXH3-64 with seed 0 of all bytes at once.
std::uint64_t xxh3_64(std::span<const std::byte> bytes);

/// The same value from bytes that come in pieces.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;
  void update(std::span<const std::byte> bytes);
  std::uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// SHA-256 of all bytes at once: 64 lower-case hexadecimal digits.
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

/// 16 lower-case hexadecimal digits, and back (nothing for any other text).
std::string hex64(std::uint64_t value);
std::optional<std::uint64_t> parse_hex64(std::string_view text);

}  // namespace belay::base
