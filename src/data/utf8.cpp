#include "data/utf8.h"

#include <cstdint>
#include <cstring>

namespace belay::data {
namespace {

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/// Bytes of the character that begins at text[at]; 0 when none does.
std::size_t character_bytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : std::uint8_t{0};
  };
  const unsigned char lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4 || !is_continuation(second)) return 0;
  if (lead < 0xE0) return 2;
  if (!is_continuation(byte(2))) return 0;
  if (lead < 0xF0) {
    const bool overlong = lead == 0xE0 && second < 0xA0, surrogate = lead == 0xED && second > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  const bool overlong = lead == 0xF0 && second < 0x90, beyond = lead == 0xF4 && second > 0x8F;
  return overlong || beyond || !is_continuation(byte(3)) ? 0 : 4;
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t eight[4];
    while (at + sizeof(eight) <= text.size()) {
      std::memcpy(eight, text.data() + at, sizeof(eight));
      if (((eight[0] | eight[1] | eight[2] | eight[3]) & 0x8080808080808080u) != 0) break;
      at += sizeof(eight);
    }
    // Up to the next ASCII run, or the tail.
    for (std::size_t end = at + sizeof(eight); at < end && at < text.size();) {
      const std::size_t n = character_bytes(text, at);
      if (n == 0) return at;
      at += n;
    }
  }
  return std::string_view::npos;
}

std::size_t character_begin(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && is_continuation(static_cast<unsigned char>(text[at]))) --at;
  return at;
}

}  // namespace belay::data
