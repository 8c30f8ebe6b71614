// What the shape of a text says about its quality, in numbers: the heuristics of Gopher (Rae et
// al., "Scaling language models", 2021, A1.1), and two of FineWeb (Penedo et al., "The FineWeb
// datasets", 2024). A word is what stands between spaces, with its punctuation; a letter of a
// script without spaces (data/words.h) is a word of its own. A line is one with more than spaces on
// it, a paragraph is ended by an empty line. Shares of a text are in bytes.
//
// Cost: one walk for words and lines; each length of n-gram walks the words once more. Memory: 32
// bytes a word and as much again while n-grams are counted.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace belay::data {

enum class Measure : std::uint8_t {
  kWords,
  kMeanWord,                // characters
  kSymbols,                 // the more frequent of "#" and of ellipses, a word
  kAlphabetic,              // share of words with a letter
  kStopWords,               // how many different ones of the, be, to, of, and, that, have, with
  kBullets,                 // share of lines that begin with one
  kEllipses,                // share of lines that end in one
  kEndedLines,              // share of lines that end in a mark that ends a sentence
  kShortLines,              // share of lines of fewer than 30 characters
  kRepeatedLines,           // share of lines that stood there before
  kRepeatedLineBytes,       // and their share of the text
  kRepeatedParagraphs,      // the same of paragraphs
  kRepeatedParagraphBytes,  //
  kTopNgram,                // share of the text in the most frequent n-gram, where that comes twice
  kRepeatedNgrams           // share of the text in n-grams that stood there before
};

class TextMeasures {
 public:
  /// The text outlives this.
  explicit TextMeasures(std::string_view text);
  /// n: of n-grams. 0 where there is nothing to take a share of.
  double of(Measure measure, int n = 0);

  /// Most letters are syllables or words (Hangul, scripts without spaces): the length of words says
  /// nothing.
  bool is_dense() const { return 2 * n_dense_ > n_letters_; }
  /// Most letters are Latin.
  bool is_latin() const { return 2 * n_latin_ > n_letters_; }

 private:
  struct Word {
    std::uint64_t hash;
    std::uint32_t bytes;
  };
  struct Lines {
    std::int64_t n = 0, bullets = 0, ellipses = 0, ended = 0, brief = 0;
    std::int64_t bytes = 0, repeated = 0, repeated_bytes = 0;
    std::int64_t paragraphs = 0, repeated_paragraphs = 0, repeated_paragraph_bytes = 0;
    std::int64_t paragraph_bytes = 0;
  };
  void read_words();
  void add_word(std::string_view word, std::int64_t n_characters, bool has_letter);
  const Lines& lines();
  double top_ngram(int n) const;
  double repeated_ngrams(int n) const;

  std::string_view text_;
  std::vector<Word> words_;
  std::int64_t word_bytes_ = 0, characters_ = 0, alphabetic_ = 0, hashes_ = 0, ellipses_ = 0;
  std::int64_t n_letters_ = 0, n_dense_ = 0, n_latin_ = 0;
  unsigned stop_words_ = 0;  // bits
  std::optional<Lines> lines_;
};

}  // namespace belay::data
