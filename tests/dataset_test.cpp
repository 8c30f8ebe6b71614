// Token streams, datasets of bytes and the batches cut from them.
#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "data/batches.h"
#include "data/embedded_corpus.h"

namespace belay::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<std::int32_t>;
using Parts = std::vector<std::vector<int>>;  // lengths of the documents of each part

/// A stream in memory of any token width; documents begin with `end_of_text` when that is given.
struct Made {
  std::vector<std::vector<std::uint32_t>> wide;
  std::vector<std::vector<std::uint16_t>> narrow;
  std::vector<std::vector<store::ShardDocument>> documents;
  Ids ids;                           // of the whole stream
  std::vector<std::int64_t> begins;  // of its documents, n_tokens last
  TokenStream stream;

  /// Parts alternate between two and four bytes a token.
  explicit Made(const Parts& lengths, std::optional<std::int32_t> end_of_text = std::nullopt) {
    wide.resize(lengths.size());
    narrow.resize(lengths.size());
    documents.resize(lengths.size());
    std::vector<TokenStream::Part> parts;
    for (std::size_t p = 0; p < lengths.size(); ++p) {
      for (const int n : lengths[p]) {
        documents[p].push_back({.first_token = wide[p].size(), .text_bytes = 10});
        begins.push_back(static_cast<std::int64_t>(ids.size()));
        for (int i = 0; i < n; ++i) {
          const bool first = i == 0 && end_of_text;
          ids.push_back(first ? *end_of_text : static_cast<std::int32_t>(ids.size() % 60000));
          wide[p].push_back(static_cast<std::uint32_t>(ids.back()));
          narrow[p].push_back(static_cast<std::uint16_t>(ids.back()));
        }
      }
      const bool is_wide = p % 2 == 1;
      parts.push_back(
          {is_wide ? std::as_bytes(std::span(wide[p])) : std::as_bytes(std::span(narrow[p])),
           is_wide ? 4 : 2, documents[p]});
    }
    begins.push_back(static_cast<std::int64_t>(ids.size()));
    stream = TokenStream(std::move(parts), end_of_text);
  }
};

TEST(TokenStream, ReadsAcrossPartsOfAnyWidth) {
  const Made made({{3, 4}, {}, {5, 1, 1}, {70000}});
  const TokenStream& s = made.stream;
  ASSERT_EQ(s.n_tokens(), 70014);
  ASSERT_EQ(s.n_documents(), 6);
  EXPECT_EQ(s.n_text_bytes(), 60);
  for (std::int64_t d = 0; d <= s.n_documents(); ++d) {
    EXPECT_EQ(s.document_begin(d), made.begins[static_cast<std::size_t>(d)]);
  }
  for (std::int64_t t = 0; t < 20; ++t) {
    const auto after = std::upper_bound(made.begins.begin(), made.begins.end(), t);
    EXPECT_EQ(s.document_at(t), after - made.begins.begin() - 1) << t;
  }
  for (std::int64_t begin = 0; begin < 20; ++begin) {
    Ids out(12);
    s.read(begin, out);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), made.ids.begin() + begin)) << begin;
  }
  Ids all(made.ids.size());
  s.read(0, all);
  EXPECT_EQ(all, made.ids);
}

struct Filled {
  Ids ids, targets;
  std::vector<std::int64_t> lengths;
  Filled(const Batches& batches, std::int64_t row, std::int64_t n) {
    batches.fill(row, n, ids, targets, lengths);
  }
};

TEST(Batches, AnEpochHoldsEveryTokenOnceButARest) {
  const Made made({{40, 41, 1, 18}, {3}});  // 103 tokens
  const Batches batches(made.stream, 10, 7);
  ASSERT_EQ(batches.rows_per_epoch(), 10);
  std::set<Ids> orders;
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    const Filled f(batches, epoch * 10, 10);
    EXPECT_EQ(std::accumulate(f.lengths.begin(), f.lengths.end(), std::int64_t{0}), 100);
    EXPECT_EQ(std::set<std::int32_t>(f.ids.begin(), f.ids.end()).size(), 100u);
    orders.insert(f.ids);
  }
  EXPECT_EQ(orders.size(), 4u);
}

TEST(Batches, ARowFollowsFromItsNumberAndTheSeed) {
  const Made made(Parts{{400, 300}});
  const Batches batches(made.stream, 16, 7), same(made.stream, 16, 7), other(made.stream, 16, 8);
  const Filled all(batches, 40, 8), last(same, 47, 1), else_where(other, 47, 1);
  EXPECT_TRUE(std::equal(last.ids.begin(), last.ids.end(), all.ids.end() - 16));
  EXPECT_TRUE(std::equal(last.targets.begin(), last.targets.end(), all.targets.end() - 16));
  EXPECT_NE(last.ids, else_where.ids);
}

TEST(Batches, RowsComeInARandomOrder) {
  const Made made(Parts{{100000}});
  const Batches batches(made.stream, 100, 3);
  std::set<std::int64_t> begins;
  double ahead = 0;  // of the row before it
  for (std::int64_t r = 0; r < 1000; ++r) {
    begins.insert(batches.row_begin(r));
    if (r > 0) ahead += batches.row_begin(r) > batches.row_begin(r - 1) ? 1 : 0;
  }
  EXPECT_EQ(begins.size(), 1000u);
  EXPECT_NEAR(ahead / 999, 0.5, 0.05);
}

TEST(Batches, OrInTheOrderOfTheCorpus) {
  const Made made(Parts{{40, 41, 1, 18}, {3}});  // 103 tokens
  const Batches batches(made.stream, 10, 7, RowOrder::kCorpus);
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    const Filled f(batches, epoch * 10, 10);
    EXPECT_TRUE(std::equal(f.ids.begin(), f.ids.end(), made.ids.begin()));
  }
}

/// Every row of `epochs` epochs, token by token, against the definition.
void expect_rows_of(const Made& made, std::int64_t context, std::int64_t epochs) {
  const Batches batches(made.stream, context, 11);
  const auto n = made.stream.n_tokens();
  const auto is_begin = [&](std::int64_t t) {
    return std::find(made.begins.begin(), made.begins.end() - 1, t % n) != made.begins.end() - 1;
  };
  for (std::int64_t row = 0; row < epochs * batches.rows_per_epoch(); ++row) {
    const Filled f(batches, row, 1);
    std::vector<std::int64_t> lengths = {0};
    for (std::int64_t i = 0; i < context; ++i) {
      const std::int64_t t = (batches.row_begin(row) + i) % n;
      const auto at = static_cast<std::size_t>(i);
      if (i > 0 && is_begin(t)) lengths.push_back(0);
      ++lengths.back();
      ASSERT_EQ(f.ids[at], made.ids[static_cast<std::size_t>(t)]);
      const std::int32_t target = is_begin(t + 1) ? made.stream.end_of_text().value_or(-1)
                                                  : made.ids[static_cast<std::size_t>((t + 1) % n)];
      ASSERT_EQ(f.targets[at], target) << "token " << t;
    }
    ASSERT_EQ(f.lengths, lengths) << "row " << row;
  }
}

TEST(Batches, DocumentsStayApart) {
  expect_rows_of(Made({{1, 2, 3, 30, 7}, {1, 5, 4}}), 8, 30);
  expect_rows_of(Made(Parts{{53}}), 8, 30);
  expect_rows_of(Made(Parts{{8, 8, 8}}), 8, 10);
}

TEST(Batches, TheEndOfADocumentIsLearntWhereDocumentsBeginWithEndOfText) {
  expect_rows_of(Made({{1, 2, 3, 30, 7}, {1, 5, 4}}, 60001), 8, 30);
  expect_rows_of(Made(Parts{{53}}, 60001), 53, 30);
}

TEST(ReadDocuments, InOrder) {
  const Made made({{3, 4}, {2}}, 60001);
  Ids ids(6), targets(6);
  std::vector<std::int64_t> lengths;
  read_documents(made.stream, 2, ids, targets, lengths);
  EXPECT_THAT(ids, ElementsAre(2, 60001, 4, 5, 6, 60001));
  EXPECT_THAT(targets, ElementsAre(60001, 4, 5, 6, 60001, 8));
  EXPECT_THAT(lengths, ElementsAre(1, 4, 1));
}

TEST(DatasetOfBytes, HoldsItsDocuments) {
  const Dataset d = Dataset::of_bytes({"one", "", "zwei\xC3\xA4"}, {"three"}, "some texts");
  EXPECT_EQ(d.vocab_size(), 256);
  EXPECT_EQ(d.train().n_documents(), 2);
  EXPECT_EQ(d.train().n_tokens(), 9);
  EXPECT_EQ(d.train().n_text_bytes(), 9);
  EXPECT_EQ(d.valid().n_tokens(), 5);
  Ids ids(4);
  d.train().read(2, ids);
  EXPECT_EQ(d.tokenizer().decode(ids), "ezwe");
  EXPECT_EQ(d.train().document_begin(1), 3);
  EXPECT_EQ(d.locate(Split::kTrain, 5), "some texts, document 3, byte 2");
  EXPECT_EQ(d.locate(Split::kValid, 0), "some texts, document 1, byte 0");
}

TEST(DatasetOfBytes, FingerprintFollowsFromTextAndBorders) {
  const auto of = [](std::vector<std::string> train, std::vector<std::string> valid) {
    return Dataset::of_bytes(std::move(train), std::move(valid), "x").fingerprint();
  };
  const std::uint64_t one = of({"ab", "cd"}, {"e"});
  EXPECT_EQ(one, Dataset::of_bytes({"ab", "cd"}, {"e"}, "y").fingerprint());
  EXPECT_NE(one, of({"a", "bcd"}, {"e"}));
  EXPECT_NE(one, of({"ab", "cd", "e"}, {}));
  EXPECT_NE(one, of({"ab", "ce"}, {"e"}));
}

TEST(DatasetOfTexts, HoldsTheIdsOfItsTokenizer) {
  const text::Tokenizer bytes = text::Tokenizer::bytes();
  const std::vector<std::string_view> train = {"one", "", "zwei\xC3\xA4"}, valid = {"three"};
  const Dataset d = Dataset::of_texts(bytes, train, valid, "some texts");
  EXPECT_EQ(d.train().n_documents(), 2);
  EXPECT_EQ(d.train().n_text_bytes(), 9);
  Ids ids(9);
  d.train().read(0, ids);
  Ids expected;
  bytes.encode("onezwei\xC3\xA4", expected);
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(d.valid().n_tokens(), 5);
  EXPECT_EQ(d.locate(Split::kTrain, 4), "some texts, document 3, byte 1");
  const auto fingerprint = [&](std::vector<std::string_view> texts) {
    return Dataset::of_texts(bytes, texts, valid, "x").fingerprint();
  };
  EXPECT_EQ(d.fingerprint(), fingerprint(train));
  EXPECT_NE(d.fingerprint(), fingerprint({"on", "ezwei\xC3\xA4"}));
  EXPECT_NE(d.fingerprint(), fingerprint({"one", "zwei\xC3\xB6"}));
}

TEST(DatasetOfBytes, TheEmbeddedNovels) {
  const Dataset d = embedded_dataset();
  const Corpus corpus = embedded_corpus();
  EXPECT_EQ(d.train().n_documents(), 22);
  EXPECT_EQ(d.valid().n_documents(), 2);
  EXPECT_EQ(d.train().n_text_bytes(),
            static_cast<std::int64_t>(corpus.train.size() - 22 * kDocumentEnd.size()));
  Ids ids(40);
  d.train().read(0, ids);
  EXPECT_EQ(d.tokenizer().decode(ids), corpus.train.substr(0, 40));
}

TEST(CheckLongEnough, NamesWhatIsMissing) {
  const Dataset d = Dataset::of_bytes({std::string(100, 'x')}, {}, "few.txt");
  EXPECT_TRUE(check_long_enough(d, 10, 100).ok());
  EXPECT_THAT(check_long_enough(d, 10, 101).message(),
              HasSubstr("few.txt: is shorter than one batch (seen 100 training tokens; allowed at "
                        "least 101)"));
  EXPECT_FALSE(check_long_enough(d, 128, 0).ok());
}

}  // namespace
}  // namespace belay::data
