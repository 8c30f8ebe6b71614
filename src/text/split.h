// How text is split into pieces before the merges of byte pair encoding: no merge crosses the
// border of two pieces. Each kind is the hand-written twin of a regular expression that the field
// uses; which one a tokenizer.json means is recognised from the expression's text. There is no
// regular expression engine: one pass, at most one character of look-ahead, time linear in the
// text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/unicode.h"

namespace belay::text {

enum class Split : std::uint8_t {
  kNone,           // the whole text is one piece
  kGpt2,           // GPT-2, r50k, p50k
  kCl100k,         // GPT-4, Llama 3: numbers in threes
  kQwen2,          // Qwen 2, 2.5 and 3: the same with single digits
  kO200k,          // GPT-4o: words also end where a capital follows a small letter
  kDigits,         // SmolLM, StarCoder, Refact, Command R: single digits, then GPT-2
  kDeepSeekCoder,  // five expressions, one after another: line ends, words, punctuation, East Asian
                   // scripts, digits
};

/// "gpt2", "cl100k", ... and back; kNone is "none".
std::string_view split_name(Split split);
std::optional<Split> split_of_name(std::string_view name);
/// The expression, as tokenizer.json files have it; empty for kNone. Several that
/// split one after another have kNextRegex between them.
std::string_view split_regex(Split split);
inline constexpr char kNextRegex = '\x1F';
std::optional<Split> split_of_regex(std::string_view regex);

/// The last place in `text` where any text that goes on after it splits as it would alone: between
/// a letter or number and a character that cannot belong to the same piece. 0 when there is none.
/// With nfc the place also parts nothing that normalization joins.
std::size_t last_safe_cut(Split split, std::string_view text, bool nfc);

namespace internal {

constexpr std::uint64_t kEach = 0x0101010101010101u;

/// The high bit of each byte that is no ASCII letter.
inline std::uint64_t not_letters(std::uint64_t word) {
  const std::uint64_t low = (word | 0x20 * kEach) & 0x7F * kEach;
  const std::uint64_t from_a = low + (0x80 - 'a') * kEach;       // high bit: at least 'a'
  const std::uint64_t above_z = low + (0x80 - 'z' - 1) * kEach;  // high bit: more than 'z'
  return ~(from_a & ~above_z & ~word) & 0x80 * kEach;
}

/// Splits one text. Pieces are found from left to right; p is always the start of a piece.
template <Split kSplit>
class Splitter {
 public:
  explicit Splitter(std::string_view text)
      : table_(ClassTable::get()), end_(text.data() + text.size()) {}

  /// The end of the piece that begins at p < end.
  const char* piece_end(const char* p) const {
    const Char c = at(p);
    if constexpr (kSplit == Split::kNone) return end_;
    if constexpr (kSplit == Split::kGpt2 || kSplit == Split::kDigits) return gpt2(p, c);
    if constexpr (kSplit == Split::kDeepSeekCoder) return deepseek_coder(p, c);
    if constexpr (kSplit == Split::kO200k) return o200k(p, c);
    return cl100k(p, c);
  }

 private:
  struct Char {
    std::uint8_t of;  // its class
    std::uint32_t size;
  };

  Char at(const char* p) const {
    const auto byte = static_cast<std::uint8_t>(*p);
    if (byte < 0x80) return {table_.of_byte(byte), 1};
    const Decoded c = decode_utf8(p, end_);
    if (c.code == kInvalid) return {kOther, 1};
    return {static_cast<std::uint8_t>(table_.of(c.code) & kClassMask), c.size};
  }

  /// The first place from p on whose character does not match.
  template <class Match>
  const char* skip(const char* p, Match match) const {
    while (p < end_) {
      const Char c = at(p);
      if (!match(c.of)) break;
      p += c.size;
    }
    return p;
  }

  const char* skip_letters(const char* p) const {
    while (true) {
      for (std::uint64_t word; end_ - p >= 8; p += 8) {
        std::memcpy(&word, p, 8);
        if (const std::uint64_t stop = not_letters(word)) {
          p += __builtin_ctzll(stop) >> 3;
          if (static_cast<std::uint8_t>(*p) < 0x80) return p;
          break;
        }
      }
      // A letter outside ASCII, or the last seven bytes.
      const char* start = p;
      while (p < end_ && (end_ - p < 8 || static_cast<std::uint8_t>(*p) >= 0x80)) {
        const Char c = at(p);
        if (!is_letter(c.of)) return p;
        p += c.size;
      }
      if (p == end_ || p == start) return p;
    }
  }

  const char* skip_numbers(const char* p, int most) const {
    for (; p < end_ && most > 0; --most) {
      const Char c = at(p);
      if (c.of != kNumber) break;
      p += c.size;
    }
    return p;
  }

  static constexpr bool is_symbol(std::uint8_t c) { return c == kOther || c == kMark; }

  /// 's 't 're 've 'm 'll 'd: the end, or p where there is none. A long s folds to s.
  const char* contraction(const char* p, bool fold) const {
    if (end_ - p < 2 || *p != '\'') return p;
    const auto lower = [fold](char c) {
      return static_cast<char>(fold && c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    };
    const char a = lower(p[1]);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
    if (end_ - p < 3) return p;
    const char b = lower(p[2]);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
    if (fold && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
    return p;
  }

  /// \s*[\r\n]+ (with lines), \s+(?!\S), \s+ in this order; p is white space. With kDigits the text
  /// ends, for this, before a number.
  const char* white_space(const char* p, Char c, bool lines) const {
    const char* after_newline = nullptr;
    const char* last = p;  // where the run's last character begins
    const char* q = p;
    while (true) {
      last = q;
      q += c.size;
      if (c.of == kNewline) after_newline = q;
      if (q == end_) break;
      c = at(q);
      if (kSplit == Split::kDigits && c.of == kNumber) return q;
      if (!is_space(c.of)) break;
    }
    if (lines && after_newline != nullptr) return after_newline;
    return q == end_ || last == p ? q : last;
  }

  const char* gpt2(const char* p, Char c) const {
    if (*p == '\'') {
      if (const char* e = contraction(p, false); e != p) return e;
    }
    const char* q = p;
    if (*p == ' ' && p + 1 < end_) {
      const Char next = at(p + 1);
      if (!is_space(next.of) && (kSplit == Split::kGpt2 || next.of != kNumber)) {
        ++q;
        c = next;
      }
    }
    if (is_letter(c.of)) return skip_letters(q);
    if (kSplit == Split::kDigits && c.of == kNumber) return p + c.size;
    if (c.of == kNumber) return skip(q, [](std::uint8_t x) { return x == kNumber; });
    if (is_symbol(c.of)) return skip(q, is_symbol);
    return white_space(p, c, false);
  }

  /// Symbols with a space before them and line ends (and, for o200k, slashes) after.
  const char* symbols(const char* p) const {
    p = skip(p, is_symbol);
    while (p < end_ && (*p == '\n' || *p == '\r' || (kSplit == Split::kO200k && *p == '/'))) ++p;
    return p;
  }

  /// What follows words in cl100k and o200k alike; c is the character at p.
  const char* no_word(const char* p, Char c) const {
    if (c.of == kNumber) return skip_numbers(p, kSplit == Split::kQwen2 ? 1 : 3);
    if (is_symbol(c.of)) return symbols(p);
    if (*p == ' ' && p + 1 < end_ && is_symbol(at(p + 1).of)) return symbols(p + 1);
    return white_space(p, c, true);
  }

  const char* cl100k(const char* p, Char c) const {
    if (is_letter(c.of)) return skip_letters(p);
    if (*p == '\'') {
      if (const char* e = contraction(p, true); e != p) return e;
    }
    if (c.of != kNumber && c.of != kNewline && p + c.size < end_) {
      const char* q = p + c.size;
      if (is_letter(at(q).of)) return skip_letters(q);
    }
    return no_word(p, c);
  }

  static constexpr bool is_head(std::uint8_t c) {  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
    return c == kMark || c == kUpper || c == kLetter;
  }
  static constexpr bool is_tail(std::uint8_t c) {  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
    return c == kMark || c == kLower || c == kLetter;
  }

  /// head* tail+ from p, greedy with backtracking: the end, or p where it does not match. In
  /// `heads` the end of head*.
  const char* head_tail(const char* p, const char*& heads) const {
    const char* both_end = nullptr;  // after the last character that is head and tail
    Char c{};
    const char* q = p;
    for (; q < end_; q += c.size) {
      c = at(q);
      if (!is_head(c.of)) break;
      if (is_tail(c.of)) both_end = q + c.size;
    }
    heads = q;
    if (q < end_ && is_tail(c.of)) return skip_tails(q);
    return both_end != nullptr ? both_end : p;
  }

  const char* skip_tails(const char* p) const {
    while (p < end_ && *p >= 'a' && *p <= 'z') ++p;
    return skip(p, is_tail);
  }

  const char* o200k(const char* p, Char c) const {
    const bool prefix = c.of != kNewline && c.of != kNumber && !is_letter(c.of);
    const char* word = prefix ? p + c.size : p;
    if (word < end_) {
      const char* heads = word;
      const char* e = head_tail(word, heads);
      if (e != word) return contraction_after(e);
      if (c.of == kMark) {  // the mark itself begins the word
        const char* unused = p;
        return contraction_after(head_tail(p, unused));
      }
      if (heads != word) return contraction_after(heads);
    } else if (c.of == kMark) {
      return word;
    }
    return no_word(p, c);
  }

  static bool is_east_asian(std::uint32_t code) {  // [\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]
    return (code >= 0x800 && code <= 0x9FA5) || (code >= 0xAC00 && code <= 0xD7FF);
  }

  bool is_punctuation_at(const char* p, Char c) const {
    return c.of == kOther && is_punctuation(decode_utf8(p, end_).code);
  }

  /// A white space and letters, a white space and punctuation, or what lies between such pieces;
  /// within each, characters of East Asian scripts apart.
  const char* deepseek_coder(const char* p, Char c) const {
    if (c.of == kNewline || c.of == kNumber) return p + c.size;
    enum { kWord, kPunctuation, kRest };
    const auto kind_at = [&](const char* q, Char of) {
      return is_letter(of.of) ? kWord : is_punctuation_at(q, of) ? kPunctuation : kRest;
    };
    const auto head_kind = [&](const char* q, Char of) {  // what a piece that begins here is
      if (of.of != kSpace || q + of.size == end_) return kind_at(q, of);
      return kind_at(q + of.size, at(q + of.size));
    };
    const auto kind = head_kind(p, c);
    const bool east_asian = is_east_asian(decode_utf8(p, end_).code);
    for (const char* q = p + c.size; q < end_; q += c.size) {
      c = at(q);
      if (c.of == kNewline || c.of == kNumber) return q;
      if (is_east_asian(decode_utf8(q, end_).code) != east_asian) return q;
      if ((kind == kRest ? head_kind(q, c) : kind_at(q, c)) != kind) return q;
    }
    return end_;
  }

  const char* contraction_after(const char* p) const { return p < end_ ? contraction(p, true) : p; }

  const ClassTable& table_;
  const char* end_;
};

template <Split kSplit, class Visit>
void visit_pieces(std::string_view text, Visit& visit) {
  const Splitter<kSplit> splitter(text);
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    const char* e = splitter.piece_end(p);
    visit(p, e, end);
    p = e;
  }
}

}  // namespace internal

/// Calls visit(begin, end, end of text) for every piece in order.
template <class Visit>
void for_each_piece(Split split, std::string_view text, Visit&& visit) {
  switch (split) {
    case Split::kNone: return internal::visit_pieces<Split::kNone>(text, visit);
    case Split::kGpt2: return internal::visit_pieces<Split::kGpt2>(text, visit);
    case Split::kCl100k: return internal::visit_pieces<Split::kCl100k>(text, visit);
    case Split::kQwen2: return internal::visit_pieces<Split::kQwen2>(text, visit);
    case Split::kO200k: return internal::visit_pieces<Split::kO200k>(text, visit);
    case Split::kDigits: return internal::visit_pieces<Split::kDigits>(text, visit);
    case Split::kDeepSeekCoder: return internal::visit_pieces<Split::kDeepSeekCoder>(text, visit);
  }
}

}  // namespace belay::text
