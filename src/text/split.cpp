#include "text/split.h"

#include <array>
#include <utility>

namespace belay::text {
namespace {

struct Named {
  Split split;
  std::string_view name;
  std::string_view regex;
};

constexpr std::array<Named, 7> kNamed = {{
    {Split::kNone, "none", ""},
    {Split::kGpt2, "gpt2",
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {Split::kCl100k, "cl100k",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {Split::kQwen2, "qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {Split::kO200k, "o200k",
     R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {Split::kDigits, "digits",
     "\\p{N}\x1F"
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {Split::kDeepSeekCoder, "deepseek-coder",
     "[\r\n]\x1F\\s?\\p{L}+\x1F\\s?\\p{P}+\x1F"
     "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+\x1F\\p{N}"},
}};

/// Other spellings of the same expressions.
constexpr std::array<std::pair<std::string_view, Split>, 2> kAliases = {{
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Split::kGpt2},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
     Split::kCl100k},
}};

const Named& named(Split split) { return kNamed[static_cast<std::size_t>(split)]; }

}  // namespace

std::string_view split_name(Split split) { return named(split).name; }
std::string_view split_regex(Split split) { return named(split).regex; }

std::optional<Split> split_of_name(std::string_view name) {
  for (const Named& n : kNamed) {
    if (n.name == name) return n.split;
  }
  return std::nullopt;
}

std::optional<Split> split_of_regex(std::string_view regex) {
  for (const Named& n : kNamed) {
    if (!n.regex.empty() && n.regex == regex) return n.split;
  }
  for (const auto& [other, split] : kAliases) {
    if (other == regex) return split;
  }
  return std::nullopt;
}

std::size_t last_safe_cut(Split split, std::string_view text, bool nfc) {
  if (split == Split::kNone) return 0;
  const ClassTable& table = ClassTable::get();
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto class_at = [&](const char* p) {
    const Decoded c = decode_utf8(p, end);
    return c.code == kInvalid ? std::uint8_t{kOther} : table.of(c.code);
  };
  const auto before = [&](const char* p) {  // where the character before p begins
    const char* q = p - 1;
    for (int i = 0; i < 3 && q > begin && (static_cast<std::uint8_t>(*q) & 0xC0) == 0x80; ++i) --q;
    return q + decode_utf8(q, end).size == p ? q : p - 1;
  };
  // A character that the text's end may have cut is no witness.
  const char* next = end;
  while (next > begin && missing_tail_bytes({begin, next}) > 0) --next;
  if (next == begin) return 0;
  next = before(next);
  while (next > begin) {
    const char* p = before(next);
    const std::uint8_t a = class_at(p) & kClassMask, with_bit = class_at(next);
    const std::uint8_t b = with_bit & kClassMask;
    const bool parts = (is_letter(a) && !is_letter(b) && b != kMark && *next != '\'') ||
                       (a == kNumber && b != kNumber && b != kMark);
    if (parts && !(nfc && with_bit & kRecomposes)) return static_cast<std::size_t>(next - begin);
    next = p;
  }
  return 0;
}

}  // namespace belay::text
