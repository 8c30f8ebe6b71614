// What tokenizers ask of a character: its class, and whether NFC must look at it. UTF-8 is read
// here too. A byte that no UTF-8 sequence explains is a character of its own, of class kOther, so
// that any bytes can be walked.
//
// The table is made by tools/make_unicode from Debian's unicode-data (runs of equal classes) and
// laid out at first use: 8,704 bytes of block numbers, about 30 KB of blocks of 128 characters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace belay::text {

/// \p{L} is kUpper, kLower and kLetter; \s is kSpace and kNewline.
enum Class : std::uint8_t {
  kOther,
  kMark,     // M
  kUpper,    // Lu, Lt
  kLower,    // Ll
  kLetter,   // Lm, Lo
  kNumber,   // N
  kSpace,    // White_Space but
  kNewline,  // CR and LF
};
inline constexpr std::uint8_t kClassMask = 7;
/// Beside the class: a combining class that is not 0, or NFC_Quick_Check is not Yes.
inline constexpr std::uint8_t kRecomposes = 8;

constexpr bool is_letter(std::uint8_t c) { return c >= kUpper && c <= kLetter; }
constexpr bool is_space(std::uint8_t c) { return c >= kSpace; }

namespace internal {
extern const std::uint32_t kRuns[];  // first character << 4 | class and bit
extern const std::size_t kRunCount;
}  // namespace internal

class ClassTable {
 public:
  static const ClassTable& get();
  /// Class and kRecomposes of a code point up to 0x10FFFF.
  std::uint8_t of(std::uint32_t code) const {
    return blocks_[(std::size_t{block_of_[code >> 7]} << 7) + (code & 127)];
  }
  /// The class of an ASCII byte; kOther for the others.
  std::uint8_t of_byte(std::uint8_t byte) const { return ascii_[byte]; }

 private:
  ClassTable();
  std::array<std::uint8_t, 256> ascii_{};
  std::array<std::uint8_t, 0x110000 / 128> block_of_{};
  std::vector<std::uint8_t> blocks_;
};

/// A decoded character: code is kInvalid and size 1 where the bytes are not UTF-8.
struct Decoded {
  std::uint32_t code;
  std::uint32_t size;
};
inline constexpr std::uint32_t kInvalid = ~std::uint32_t{0};

/// Reads the character at p < end; strict (no overlong forms, no surrogates, at most 0x10FFFF).
inline Decoded decode_utf8(const char* p, const char* end) {
  const auto byte = [&](std::ptrdiff_t i) { return static_cast<std::uint8_t>(p[i]); };
  const auto tail = [&](std::ptrdiff_t i) { return (byte(i) & 0xC0) == 0x80; };
  const std::uint32_t b = byte(0);
  if (b < 0x80) return {b, 1};
  const std::ptrdiff_t left = end - p;
  if (b >= 0xE0 && b < 0xF0) {
    if (left < 3 || !tail(1) || !tail(2)) return {kInvalid, 1};
    const std::uint32_t c = (b & 15) << 12 | (byte(1) & 63u) << 6 | (byte(2) & 63u);
    if (c < 0x800 || (c >= 0xD800 && c < 0xE000)) return {kInvalid, 1};
    return {c, 3};
  }
  if (b >= 0xC2 && b < 0xE0) {
    if (left < 2 || !tail(1)) return {kInvalid, 1};
    return {(b & 31) << 6 | (byte(1) & 63u), 2};
  }
  if (b >= 0xF0 && b < 0xF5) {
    if (left < 4 || !tail(1) || !tail(2) || !tail(3)) return {kInvalid, 1};
    const std::uint32_t c =
        (b & 7) << 18 | (byte(1) & 63u) << 12 | (byte(2) & 63u) << 6 | (byte(3) & 63u);
    if (c < 0x10000 || c > 0x10FFFF) return {kInvalid, 1};
    return {c, 4};
  }
  return {kInvalid, 1};
}

/// Bytes from `p` on that are ASCII, in steps of eight: at least so many, fewer than eight missed.
inline const char* skip_ascii(const char* p, const char* end) {
  for (std::uint64_t word; end - p >= 8; p += 8) {
    std::memcpy(&word, p, 8);
    if (word & 0x8080808080808080u) break;
  }
  return p;
}

/// The number of bytes before the first that is not UTF-8; text.size() where all is.
std::size_t valid_utf8_prefix(std::string_view text);

/// The UTF-8 of a code point up to 0x10FFFF, appended.
void append_utf8(std::uint32_t code, std::string& out);

/// \p{P}, a part of kOther; false for kInvalid.
bool is_punctuation(std::uint32_t code);

/// The lower case of a code point; itself where it has none.
std::uint32_t lower(std::uint32_t code);

/// Bytes that the last character of `text` still lacks: 0 when it ends whole (or is not UTF-8).
std::size_t missing_tail_bytes(std::string_view text);

/// No character has kRecomposes: the text is in Normalization Form C.
bool is_quickly_nfc(std::string_view text);
/// The text in Normalization Form C; bytes that are not UTF-8 stay.
std::string to_nfc(std::string_view text);

}  // namespace belay::text
