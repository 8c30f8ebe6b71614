#include "text/utf8_stream.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace belay::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string shown(std::string_view text) {
  std::string out;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Decoded c = decode_utf8(p, end);
    const bool control =
        (c.code < 0x20 && c.code != '\n' && c.code != '\t') || (c.code >= 0x7F && c.code < 0xA0);
    if (c.code == kInvalid || control) {
      out += kReplacement;
    } else {
      out.append(p, c.size);
    }
    p += c.size;
  }
  return out;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  std::string text = std::exchange(held_, {}) + std::string(bytes);
  // The last bytes are held back while they may become a character.
  for (std::size_t n = std::min<std::size_t>(3, text.size()); n > 0; --n) {
    const std::string_view tail = std::string_view(text).substr(text.size() - n);
    if (static_cast<unsigned char>(tail[0]) < 0xC2 || missing_tail_bytes(tail) == 0) continue;
    held_ = tail;
    text.resize(text.size() - n);
    break;
  }
  return shown(text);
}

std::string Utf8Stream::finish() { return shown(std::exchange(held_, {})); }

}  // namespace belay::text
