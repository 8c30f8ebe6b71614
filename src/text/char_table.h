// The ids that a character outside ASCII becomes whatever stands beside it, so that the merges
// inside it need not be done again for every place where it occurs.
//
// A character alone is merged to one or two tokens; let R be the highest rank that this uses. While
// it is not finished, one of its own merges, of rank R at most, is possible. So if every merge that
// could join a part of it, or the finished tokens, to something outside ranks above R, nothing
// outside can come first, and finishing it at once gives what the exact order gives: whatever ranks
// up to R is then as before, for no merge up to R involves these tokens from outside. Which merges
// from outside are possible depends on the neighbours: on the left whether ASCII stands there, on
// the right on the first byte. Where the condition fails the bytes stay as they are.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/merges.h"
#include "text/tokenizer_spec.h"

namespace belay::text {

class CharTable {
 public:
  CharTable() = default;
  /// Of a vocabulary of bytes.
  CharTable(const std::vector<std::string>& tokens, std::span<const Merge> merges,
            const MergeTable& table, const std::array<std::uint32_t, 256>& byte_id);

  /// The symbols of a piece before its merges, in ids[0, size of the piece): their number.
  std::size_t symbols(const char* p, const char* e, std::uint32_t* ids) const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kFirst = 0x80, kEnd = 0x10000;

  struct Char {
    std::uint32_t first = kNone, second = kNone;  // first is kNone: leave the bytes
    std::uint32_t right = 0;                      // bit k: safe before a byte of right_class k
    bool after_ascii = false;
  };

  static constexpr std::uint32_t kClasses = 19;
  /// First bytes: ASCII, of two bytes, each that begins three, of four.
  static constexpr std::uint32_t right_class(std::uint8_t byte) {
    if (byte < 0xE0) return byte < 0x80 ? 0 : 1;
    return byte < 0xF0 ? byte - 0xE0u + 2 : kClasses - 1;
  }

  struct Outside;
  void fill(std::uint32_t code, const Outside& outside, const MergeTable& table);

  std::array<std::uint32_t, 256> byte_id_{};
  std::vector<Char> chars_;  // by code point, from kFirst
};

}  // namespace belay::text
