#include "data/text_measures.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <string>
#include <unordered_set>

#include "base/hash.h"
#include "base/trim.h"
#include "data/words.h"
#include "text/unicode.h"

namespace belay::data {
namespace {

constexpr std::string_view kStopWords[] = {"the", "be", "to", "of", "and", "that", "have", "with"};
constexpr std::string_view kBullets[] = {"-", "*", "•", "‣", "◦", "▪", "■", "●", "·"};
constexpr std::string_view kEllipses[] = {"...", "…"};
constexpr std::string_view kEnds[] = {".",  "!",  "?",  "\"", "'",  "”", "’", "»", "…",
                                      "。", "！", "？", "」", "』", "।", "؟", "۔"};
constexpr std::int64_t kShortLine = 30;  // characters
constexpr std::string_view kBlank = " \t\r\f\v";

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::uint64_t hash_of(std::string_view text) {
  return base::xxh3_64(std::as_bytes(std::span(text)));
}

std::int64_t count_of(std::string_view text, std::string_view what) {
  std::int64_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos;
       at += what.size()) {
    ++n;
  }
  return n;
}

std::int64_t characters_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

bool begins_with_any(std::string_view line, std::span<const std::string_view> marks) {
  return std::any_of(marks.begin(), marks.end(),
                     [line](std::string_view mark) { return line.starts_with(mark); });
}

bool ends_with_any(std::string_view line, std::span<const std::string_view> marks) {
  return std::any_of(marks.begin(), marks.end(),
                     [line](std::string_view mark) { return line.ends_with(mark); });
}

bool is_hangul(std::uint32_t code) { return code >= 0xAC00 && code <= 0xD7A3; }

/// The bit of a stop word, with or without punctuation; 0 for other words.
unsigned stop_word_bit(std::string_view word) {
  constexpr std::size_t kLongest = 4;
  const auto is_ascii_letter = [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; };
  while (!word.empty() && !is_ascii_letter(word.front())) word.remove_prefix(1);
  while (!word.empty() && !is_ascii_letter(word.back())) word.remove_suffix(1);
  if (word.empty() || word.size() > kLongest) return 0;
  std::array<char, kLongest> lower{};
  std::transform(word.begin(), word.end(), lower.begin(),
                 [](char c) { return static_cast<char>(c | 32); });
  const auto* found = std::find(std::begin(kStopWords), std::end(kStopWords),
                                std::string_view(lower.data(), word.size()));
  return found == std::end(kStopWords) ? 0 : 1u << (found - std::begin(kStopWords));
}

/// Counts by hash, for n different ones at most: open addressing, at most half full.
class Counts {
 public:
  struct Entry {
    std::uint64_t hash = 0;  // 0: free
    std::uint32_t count = 0;
  };
  explicit Counts(std::size_t n) : entries_(std::bit_ceil(2 * n + 1)) {}
  /// How often the hash was there before.
  std::uint32_t add(std::uint64_t hash) {
    hash |= 1;
    const std::size_t mask = entries_.size() - 1;
    std::size_t at = (hash >> 20) & mask;
    while (entries_[at].hash != 0 && entries_[at].hash != hash) at = (at + 1) & mask;
    entries_[at].hash = hash;
    return entries_[at].count++;
  }

 private:
  std::vector<Entry> entries_;
};

}  // namespace

TextMeasures::TextMeasures(std::string_view text) : text_(text) { read_words(); }

void TextMeasures::read_words() {
  const text::ClassTable& classes = text::ClassTable::get();
  std::size_t begin = 0;
  std::int64_t n_characters = 0;
  bool has_letter = false, unspaced = false;  // of the word at hand
  const char* const first = text_.data();
  const char* const end = first + text_.size();
  const auto close = [&](std::size_t at) {
    if (n_characters > 0) add_word(text_.substr(begin, at - begin), n_characters, has_letter);
    begin = at;
    n_characters = 0;
    has_letter = unspaced = false;
  };
  for (const char* p = first; p < end;) {
    const auto at = static_cast<std::size_t>(p - first);
    const text::Decoded c = text::decode_utf8(p, end);
    p += c.size;
    std::uint8_t kind = text::kOther;
    if (c.code != text::kInvalid) kind = classes.of(c.code) & text::kClassMask;
    if (text::is_space(kind)) {
      close(at);
      begin = at + c.size;
      continue;
    }
    if (text::is_letter(kind)) {
      const bool alone = kind == text::kLetter && data::is_unspaced(c.code);
      if (alone || unspaced) close(at);
      ++n_letters_;
      n_dense_ += alone || is_hangul(c.code) ? 1 : 0;
      n_latin_ += c.code < 0x250 || (c.code >= 0x1E00 && c.code < 0x1F00) ? 1 : 0;
      has_letter = true;
      unspaced = alone;
    }
    ++n_characters;
  }
  close(text_.size());
  hashes_ = std::count(text_.begin(), text_.end(), '#');
  for (const std::string_view ellipsis : kEllipses) ellipses_ += count_of(text_, ellipsis);
}

void TextMeasures::add_word(std::string_view word, std::int64_t n_characters, bool has_letter) {
  words_.push_back({hash_of(word), static_cast<std::uint32_t>(word.size())});
  word_bytes_ += static_cast<std::int64_t>(word.size());
  characters_ += n_characters;
  alphabetic_ += has_letter ? 1 : 0;
  stop_words_ |= stop_word_bit(word);
}

const TextMeasures::Lines& TextMeasures::lines() {
  if (lines_) return *lines_;
  Lines& l = *(lines_ = Lines{});
  std::unordered_set<std::uint64_t> seen_lines, seen_paragraphs;
  std::uint64_t paragraph = kWordSeed;
  std::int64_t paragraph_bytes = 0;
  const auto close_paragraph = [&] {
    if (paragraph_bytes == 0) return;
    ++l.paragraphs;
    l.paragraph_bytes += paragraph_bytes;
    if (!seen_paragraphs.insert(paragraph).second) {
      ++l.repeated_paragraphs;
      l.repeated_paragraph_bytes += paragraph_bytes;
    }
    paragraph = kWordSeed;
    paragraph_bytes = 0;
  };
  for (std::size_t at = 0; at < text_.size();) {
    const std::size_t end = std::min(text_.find('\n', at), text_.size());
    const std::string_view line = base::trimmed(text_.substr(at, end - at), kBlank);
    at = end + 1;
    if (line.empty()) {
      close_paragraph();
      continue;
    }
    const auto bytes = static_cast<std::int64_t>(line.size());
    ++l.n;
    l.bytes += bytes;
    l.bullets += begins_with_any(line, kBullets) ? 1 : 0;
    l.ellipses += ends_with_any(line, kEllipses) ? 1 : 0;
    l.ended += ends_with_any(line, kEnds) ? 1 : 0;
    l.brief += characters_of(line) < kShortLine ? 1 : 0;
    const std::uint64_t hash = hash_of(line);
    if (!seen_lines.insert(hash).second) {
      ++l.repeated;
      l.repeated_bytes += bytes;
    }
    paragraph = hash_step(paragraph, hash);
    paragraph_bytes += bytes;
  }
  close_paragraph();
  return l;
}

double TextMeasures::top_ngram(int n) const {
  const auto width = static_cast<std::size_t>(n);
  if (words_.size() < width) return 0;
  Counts counts(words_.size());
  std::uint32_t most = 1;
  std::int64_t bytes_of_most = 0;
  for (std::size_t i = width - 1; i < words_.size(); ++i) {
    std::uint64_t hash = kWordSeed;
    std::int64_t bytes = 0;
    for (std::size_t j = i + 1 - width; j <= i; ++j) {
      hash = hash_step(hash, words_[j].hash);
      bytes += words_[j].bytes;
    }
    const std::uint32_t count = counts.add(hash_end(hash)) + 1;
    if (count < 2 || count < most) continue;
    bytes_of_most = count > most ? bytes : std::max(bytes_of_most, bytes);
    most = count;
  }
  return std::min(1.0, share(most * bytes_of_most, word_bytes_));
}

double TextMeasures::repeated_ngrams(int n) const {
  const auto width = static_cast<std::size_t>(n);
  if (words_.size() < width) return 0;
  Counts counts(words_.size());
  std::int64_t repeated = 0;
  std::size_t counted = 0;  // words before this one are in `repeated` or were passed
  for (std::size_t i = width - 1; i < words_.size(); ++i) {
    std::uint64_t hash = kWordSeed;
    for (std::size_t j = i + 1 - width; j <= i; ++j) hash = hash_step(hash, words_[j].hash);
    if (counts.add(hash_end(hash)) == 0) continue;
    for (std::size_t j = std::max(counted, i + 1 - width); j <= i; ++j) repeated += words_[j].bytes;
    counted = i + 1;
  }
  return share(repeated, word_bytes_);
}

double TextMeasures::of(Measure measure, int n) {
  const auto n_words = static_cast<std::int64_t>(words_.size());
  switch (measure) {
    case Measure::kWords: return static_cast<double>(n_words);
    case Measure::kMeanWord: return share(characters_, n_words);
    case Measure::kSymbols: return share(std::max(hashes_, ellipses_), n_words);
    case Measure::kAlphabetic: return share(alphabetic_, n_words);
    case Measure::kStopWords: return std::popcount(stop_words_);
    case Measure::kBullets: return share(lines().bullets, lines().n);
    case Measure::kEllipses: return share(lines().ellipses, lines().n);
    case Measure::kEndedLines: return share(lines().ended, lines().n);
    case Measure::kShortLines: return share(lines().brief, lines().n);
    case Measure::kRepeatedLines: return share(lines().repeated, lines().n);
    case Measure::kRepeatedLineBytes: return share(lines().repeated_bytes, lines().bytes);
    case Measure::kRepeatedParagraphs:
      return share(lines().repeated_paragraphs, lines().paragraphs);
    case Measure::kRepeatedParagraphBytes:
      return share(lines().repeated_paragraph_bytes, lines().paragraph_bytes);
    case Measure::kTopNgram: return top_ngram(n);
    case Measure::kRepeatedNgrams: return repeated_ngrams(n);
  }
  return 0;
}

}  // namespace belay::data
