// Words of a text in any script, as numbers. Scripts that are written without spaces between words
// (classes ID, CJ and SA of Unicode's UAX #14: Han, Kana, Thai, Lao, Khmer, Burmese, ...) have a
// word for each letter, so that what counts or compares words needs no dictionary.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "text/unicode.h"

namespace belay::data {

/// A letter of a script without spaces.
bool is_unspaced(std::uint32_t code);

/// One more character of a word's hash; a word begins with kWordSeed.
inline constexpr std::uint64_t kWordSeed = 0x243F6A8885A308D3u;
constexpr std::uint64_t hash_step(std::uint64_t hash, std::uint64_t value) {
  return (std::rotl(hash, 5) ^ value) * 0x9E3779B97F4A7C15u;
}
/// Spreads what hash_step() gathered over all bits (the end of SplitMix64: Steele, Lea, Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014).
constexpr std::uint64_t hash_end(std::uint64_t h) {
  h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
  h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
  return h ^ (h >> 31);
}

namespace internal {
/// Letters and digits of ASCII in lower case; 0 for all else.
inline constexpr std::array<std::uint8_t, 128> kFolded = [] {
  std::array<std::uint8_t, 128> table{};
  for (int c = '0'; c <= '9'; ++c)
    table[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(c);
  for (int c = 'a'; c <= 'z'; ++c) {
    table[static_cast<std::size_t>(c)] = table[static_cast<std::size_t>(c - 32)] =
        static_cast<std::uint8_t>(c);
  }
  return table;
}();
}  // namespace internal

/// Calls on_word(hash) for each run of letters, marks and digits, in lower case. What stands
/// between them (spaces, punctuation, symbols) is not looked at.
template <class OnWord>
void each_word(std::string_view text, OnWord&& on_word) {
  const text::ClassTable& classes = text::ClassTable::get();
  std::uint64_t hash = 0;
  bool inside = false;
  const auto close = [&] {
    if (inside) on_word(hash);
    inside = false;
  };
  const auto add = [&](std::uint32_t code) {
    hash = hash_step(inside ? hash : kWordSeed, code);
    inside = true;
  };
  const char* p = text.data();
  for (const char* end = p + text.size(); p < end;) {
    if (const auto byte = static_cast<std::uint8_t>(*p); byte < 0x80) {
      ++p;
      const std::uint8_t folded = internal::kFolded[byte];
      folded != 0 ? add(folded) : close();
      continue;
    }
    const text::Decoded c = text::decode_utf8(p, end);
    p += c.size;
    std::uint8_t kind = text::kOther;
    if (c.code != text::kInvalid) kind = classes.of(c.code) & text::kClassMask;
    if (kind == text::kOther || kind >= text::kSpace) {
      close();
      continue;
    }
    if (kind == text::kLetter && is_unspaced(c.code)) close();
    add(kind == text::kUpper ? text::lower(c.code) : c.code);
  }
  close();
}

}  // namespace belay::data
