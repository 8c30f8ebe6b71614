// The embedded corpus and the bigram that measures it.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/bigram.h"
#include "data/embedded_corpus.h"

namespace belay::data {
namespace {

double bigram_bits(std::string_view counted, std::string_view scored) {
  Bigram bigram;
  bigram.count(counted);
  bigram.score(scored);
  return bigram.bits_per_byte();
}

TEST(EmbeddedCorpus, HoldsTheBooksOfItsPage) {
  const Corpus corpus = embedded_corpus();
  EXPECT_EQ(static_cast<std::int64_t>(corpus.train.size() + corpus.valid.size()),
            embedded_corpus_bytes());
  const auto train = split_documents(corpus.train);
  const auto valid = split_documents(corpus.valid);
  ASSERT_EQ(train.size(), 22u);
  ASSERT_EQ(valid.size(), 2u);
  EXPECT_TRUE(train[0].starts_with("I\n\nIt is a truth universally acknowledged"));
  EXPECT_TRUE(corpus.train.ends_with(kDocumentEnd));
  EXPECT_TRUE(corpus.valid.ends_with(kDocumentEnd));
}

TEST(EmbeddedCorpus, NoValidationBookIsInTheTrainingText) {
  const Corpus corpus = embedded_corpus();
  for (const std::string_view book : split_documents(corpus.valid)) {
    for (const std::size_t at : {book.size() / 4, book.size() / 2, 3 * book.size() / 4}) {
      EXPECT_EQ(corpus.train.find(book.substr(at, 200)), std::string::npos);
    }
  }
}

TEST(SplitDocuments, KeepsEmptyAndUnfinishedOnes) {
  using Views = std::vector<std::string_view>;
  EXPECT_EQ(split_documents(""), Views{});
  EXPECT_EQ(split_documents("a\n<|endoftext|>\n<|endoftext|>\nb"), (Views{"a\n", "", "b"}));
}

// The figure in corpus/README.md, which another program computed.
TEST(Bigram, GivesTheFigureOfTheCorpusPage) {
  const Corpus corpus = embedded_corpus();
  EXPECT_NEAR(bigram_bits(corpus.train, corpus.valid), 3.4231, 5e-5);
}

TEST(Bigram, TextsMayComeInPieces) {
  Bigram bigram;
  for (const std::string_view piece : {"", "abab", "a", "", "bcab"}) bigram.count(piece);
  for (const std::string_view piece : {"ab", "", "cz"}) bigram.score(piece);
  EXPECT_EQ(bigram.bits_per_byte(), bigram_bits("abababcab", "abcz"));
}

TEST(Bigram, IsAProbability) {
  for (const std::string_view train : {"", "a", "abababcab", "zzzz"}) {
    for (const char first : {'a', 'b', 'z', '\0'}) {
      double sum = 0;
      for (int b = 0; b < 256; ++b) {
        const std::string one(1, first), two = one + static_cast<char>(b);
        const double bits = 2 * bigram_bits(train, two) - bigram_bits(train, one);
        sum += std::exp2(-bits);
      }
      EXPECT_NEAR(sum, 1.0, 1e-12) << train;
    }
  }
}

TEST(Bigram, KnowsNothingWithoutText) {
  EXPECT_DOUBLE_EQ(bigram_bits("", "any text"), 8.0);
  EXPECT_EQ(bigram_bits("text", ""), 0.0);
}

}  // namespace
}  // namespace belay::data
