#include "text/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/unicode.h"

namespace belay::text::jinja {
namespace {

constexpr std::uint32_t kSharpS = 0xDF;  // the one common letter whose upper case is two

/// Python's str.isspace: Unicode's white space and the separators of ASCII.
bool is_blank(std::uint32_t code) {
  if (code == kInvalid) return false;
  return is_space(ClassTable::get().of(code) & kClassMask) || (code >= 0x1C && code <= 0x1F);
}

bool is_cased(std::uint32_t code) {
  const auto c = static_cast<utf8proc_int32_t>(code);
  return utf8proc_tolower(c) != c || utf8proc_toupper(c) != c || code == kSharpS;
}

/// The line ends of str.splitlines.
bool is_line_end(std::uint32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

Decoded decoded(std::string_view text, std::size_t at) {
  return decode_utf8(text.data() + at, text.data() + text.size());
}

/// The character that ends at `end` > 0: where it begins.
std::size_t previous(std::string_view text, std::size_t end) {
  for (std::size_t back = std::min<std::size_t>(4, end); back > 1; --back) {
    if (decoded(text.substr(0, end), end - back).size == back) return end - back;
  }
  return end - 1;
}

bool is_one_of(std::string_view character, std::string_view chars) {
  for (std::size_t at = 0; at < chars.size();) {
    const std::size_t size = decoded(chars, at).size;
    if (chars.substr(at, size) == character) return true;
    at += size;
  }
  return false;
}

}  // namespace

bool Builder::room(std::size_t size, std::size_t spans) {
  full_ = full_ || size > max_bytes_ - text_.size() ||
          !budget_.spend(1 + (size + sizeof(ByteSpan) * spans) / 64);
  return !full_;
}

bool Builder::add(std::string_view bytes, bool is_content) {
  if (room(bytes.size(), 0)) text_.append(bytes, is_content);
  return ok();
}

bool Builder::add(const MarkedText& text, std::size_t begin, std::size_t size) {
  if (room(size, std::min(size, text.content().size()))) text_.append(text, begin, size);
  return ok();
}

std::size_t length(std::string_view utf8) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < utf8.size(); ++n) at += decoded(utf8, at).size;
  return n;
}

std::vector<std::size_t> boundaries(std::string_view utf8) {
  std::vector<std::size_t> list;
  for (std::size_t at = 0; at < utf8.size();) {
    list.push_back(at);
    at += decoded(utf8, at).size;
  }
  list.push_back(utf8.size());
  return list;
}

ByteSpan stripped(std::string_view text, std::optional<std::string_view> chars, bool left,
                  bool right) {
  const auto goes = [&](std::size_t at, std::size_t size) {
    return chars ? is_one_of(text.substr(at, size), *chars) : is_blank(decoded(text, at).code);
  };
  ByteSpan kept{0, text.size()};
  while (left && kept.begin < kept.end) {
    const std::size_t size = decoded(text, kept.begin).size;
    if (!goes(kept.begin, size)) break;
    kept.begin += size;
  }
  while (right && kept.begin < kept.end) {
    const std::size_t at = previous(text, kept.end);
    if (!goes(at, kept.end - at)) break;
    kept.end = at;
  }
  return kept;
}

std::vector<ByteSpan> split(std::string_view text, std::optional<std::string_view> separator,
                            std::int64_t most) {
  std::vector<ByteSpan> parts;
  std::size_t begin = 0;
  if (separator) {
    for (std::size_t at; most != 0 && (at = text.find(*separator, begin)) != text.npos; --most) {
      parts.push_back({begin, at});
      begin = at + separator->size();
    }
    parts.push_back({begin, text.size()});
    return parts;
  }
  const auto skip = [&](std::size_t at, bool blank) {
    while (at < text.size() && is_blank(decoded(text, at).code) == blank) {
      at += decoded(text, at).size;
    }
    return at;
  };
  for (begin = skip(0, true); begin < text.size(); --most) {
    if (most == 0) {
      parts.push_back({begin, stripped(text, std::nullopt, false, true).end});
      break;
    }
    parts.push_back({begin, skip(begin, false)});
    begin = skip(parts.back().end, true);
  }
  return parts;
}

std::vector<ByteSpan> split_right(std::string_view text, std::optional<std::string_view> separator,
                                  std::int64_t most) {
  std::vector<ByteSpan> parts = split(text, separator, -1);
  if (most < 0 || parts.size() <= static_cast<std::size_t>(most) + 1) return parts;
  const auto joined = static_cast<std::ptrdiff_t>(parts.size()) - most - 1;
  const std::size_t begin = separator ? 0 : parts.front().begin;
  parts.erase(parts.begin(), parts.begin() + joined);
  parts.front().begin = separator ? 0 : begin;
  return parts;
}

std::vector<ByteSpan> split_lines(std::string_view text, bool keep_ends) {
  std::vector<ByteSpan> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decoded(text, at);
    const std::size_t line_end = at;
    at += c.size;
    if (!is_line_end(c.code)) continue;
    if (c.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back({begin, keep_ends ? at : line_end});
    begin = at;
  }
  if (begin < text.size()) lines.push_back({begin, text.size()});
  return lines;
}

void change_case(Builder& out, const MarkedText& text, Case to) {
  const std::string_view bytes = text.bytes();
  bool first = true;  // of what gets a capital
  auto span = text.content().begin();
  for (std::size_t at = 0; at < bytes.size() && out.ok();) {
    const Decoded c = decoded(bytes, at);
    while (span != text.content().end() && span->end <= at) ++span;
    const bool is_content = span != text.content().end() && span->begin <= at;
    std::string one(bytes.substr(at, c.size));
    at += c.size;
    if (c.code != kInvalid) {
      const auto code = static_cast<utf8proc_int32_t>(c.code);
      const bool capital = to == Case::kUpper || (first && to != Case::kLower);
      one.clear();
      if (capital && c.code == kSharpS) {
        one = to == Case::kUpper || to == Case::kFilterTitle ? "SS" : "Ss";
      } else {
        const utf8proc_int32_t changed = !capital ? utf8proc_tolower(code)
                                         : to == Case::kCapitalize || to == Case::kTitle
                                             ? utf8proc_totitle(code)
                                             : utf8proc_toupper(code);
        append_utf8(static_cast<std::uint32_t>(changed), one);
      }
    }
    first = to == Case::kTitle ? c.code == kInvalid || !is_cased(c.code)
            : to == Case::kFilterTitle
                ? is_blank(c.code) ||
                      (c.size == 1 && std::string_view("-({[<").find(static_cast<char>(c.code)) !=
                                          std::string_view::npos)
                : false;
    out.add(one, is_content);
  }
}

bool is_case(std::string_view text, bool upper) {
  bool some = false;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decoded(text, at);
    at += c.size;
    if (c.code == kInvalid || !is_cased(c.code)) continue;
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    if ((upper ? utf8proc_toupper(code) : utf8proc_tolower(code)) != code) return false;
    some = true;
  }
  return some;
}

}  // namespace belay::text::jinja
