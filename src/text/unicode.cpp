#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

namespace belay::text {

ClassTable::ClassTable() {
  std::array<std::uint8_t, 128> block{};
  std::size_t run = 0;
  for (std::uint32_t code = 0; code < 0x110000; ++code) {
    while (run + 1 < internal::kRunCount && internal::kRuns[run + 1] >> 4 <= code) ++run;
    block[code & 127] = internal::kRuns[run] & 15;
    if ((code & 127) != 127) continue;
    std::size_t same = 0;  // the block may be there already: most are all letters or all unassigned
    while (same < blocks_.size() && !std::equal(block.begin(), block.end(), &blocks_[same])) {
      same += 128;
    }
    if (same == blocks_.size()) blocks_.insert(blocks_.end(), block.begin(), block.end());
    block_of_[code >> 7] = static_cast<std::uint8_t>(same >> 7);
  }
  for (std::uint32_t code = 0; code < 128; ++code) ascii_[code] = of(code);
}

const ClassTable& ClassTable::get() {
  static const ClassTable table;
  return table;
}

std::size_t valid_utf8_prefix(std::string_view text) {
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    p = skip_ascii(p, end);
    for (int i = 0; i < 8 && p < end; ++i) {
      const Decoded c = decode_utf8(p, end);
      if (c.code == kInvalid) return static_cast<std::size_t>(p - text.data());
      p += c.size;
    }
  }
  return text.size();
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 63));
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  }
}

bool is_punctuation(std::uint32_t code) {
  if (code > 0x10FFFF) return false;
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

std::uint32_t lower(std::uint32_t code) {
  return static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
}

std::size_t missing_tail_bytes(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<std::uint8_t>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t size = byte < 0xC2 || byte > 0xF4 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    return size > back ? size - back : 0;
  }
  return 0;
}

bool is_quickly_nfc(std::string_view text) {
  const ClassTable& table = ClassTable::get();
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    p = skip_ascii(p, end);
    for (int i = 0; i < 8 && p < end; ++i) {
      const Decoded c = decode_utf8(p, end);
      if (c.code != kInvalid && table.of(c.code) & kRecomposes) return false;
      p += c.size;
    }
  }
  return true;
}

namespace {

/// Appends the normal form of text that may be cut out at both ends.
void append_nfc(std::string_view text, std::string& out) {
  std::uint8_t* mapped = nullptr;
  const auto n = utf8proc_map(reinterpret_cast<const std::uint8_t*>(text.data()),
                              static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                              static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (n < 0) {
    out.append(text);
  } else {
    out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  // Only stretches of characters with the bit, each with the character before it, can change.
  const ClassTable& table = ClassTable::get();
  const char* end = text.data() + text.size();
  const char* copied = text.data();
  const char* last = copied;  // where the last character without the bit begins
  std::string out;
  out.reserve(text.size());
  const auto moves = [&](const char* p, Decoded c) {
    return p < end && c.code != kInvalid && table.of(c.code) & kRecomposes;
  };
  for (const char* p = copied; p < end;) {
    Decoded c = decode_utf8(p, end);
    if (!moves(p, c)) {
      last = p;
      p += c.size;
      continue;
    }
    while (moves(p, c)) {
      p += c.size;
      if (p < end) c = decode_utf8(p, end);
    }
    out.append(copied, last);
    append_nfc({last, p}, out);
    copied = last = p;
  }
  return out.append(copied, end);
}

}  // namespace belay::text
