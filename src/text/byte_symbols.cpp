// GPT-2's stand-ins for bytes: printable Latin-1 stands for itself, the other 68 bytes, in order,
// for U+0100 and on.
#include <array>

#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace belay::text {
namespace {

struct ByteSymbols {
  std::array<std::string, 256> symbol;
  std::array<std::int16_t, 0x144> byte;  // by code point; -1 for none

  ByteSymbols() {
    byte.fill(-1);
    std::uint32_t other = 0x100;
    for (std::uint32_t b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
      const std::uint32_t code = printable ? b : other++;
      byte[code] = static_cast<std::int16_t>(b);
      append_utf8(code, symbol[b]);
    }
  }
};

const ByteSymbols& byte_symbols() {
  static const ByteSymbols symbols;
  return symbols;
}

}  // namespace

std::string_view byte_symbol(std::uint8_t byte) { return byte_symbols().symbol[byte]; }

std::optional<std::string> bytes_of_symbols(std::string_view text) {
  const ByteSymbols& symbols = byte_symbols();
  std::string bytes;
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    const Decoded c = decode_utf8(p, end);
    if (c.code >= symbols.byte.size() || symbols.byte[c.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(symbols.byte[c.code]));
    p += c.size;
  }
  return bytes;
}

}  // namespace belay::text
