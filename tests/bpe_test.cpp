// Merging and training against twins of twenty lines.
#include "text/bpe_train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "text/merges.h"
#include "tokenizer_data.h"

namespace belay {
namespace {

using test::encoded;
using test::read_all;
using ::testing::HasSubstr;
using text::Merge;
using text::Tokenizer;

using Symbols = std::vector<std::uint32_t>;

Symbols merge_slowly(const std::vector<Merge>& merges, Symbols ids) {
  while (true) {
    const Merge* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      for (const Merge& m : merges) {
        if (static_cast<std::uint32_t>(m.left) == ids[i] &&
            static_cast<std::uint32_t>(m.right) == ids[i + 1] &&
            (best == nullptr || m.rank < best->rank)) {
          best = &m;
          at = i;
        }
      }
    }
    if (best == nullptr) return ids;
    ids[at] = static_cast<std::uint32_t>(best->id);
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// A source of small numbers.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 33) % n;
  }

 private:
  std::uint64_t state_;
};

// Ranks in any order, equal ones too: a new pair may rank below the one that made it.
TEST(Merges, AsTheTwinForAnyRanks) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Numbers numbers(seed);
    std::vector<Merge> merges;
    std::set<std::pair<int, int>> pairs;
    std::map<int, int> id_of_rank;
    int n_ids = 3;
    for (int i = 0; i < 24; ++i) {
      Merge m{static_cast<int>(numbers.below(static_cast<std::uint32_t>(n_ids))),
              static_cast<int>(numbers.below(static_cast<std::uint32_t>(n_ids))), 0,
              static_cast<int>(numbers.below(40))};
      if (!pairs.emplace(m.left, m.right).second) continue;
      if (id_of_rank.emplace(m.rank, n_ids).second) ++n_ids;
      m.id = id_of_rank.at(m.rank);
      merges.push_back(m);
    }
    const text::MergeTable table(merges);
    for (const std::size_t n : {1u, 2u, 3u, 17u, 128u, 129u, 400u}) {
      Symbols ids(n);
      for (auto& id : ids) id = numbers.below(3);
      const Symbols expected = merge_slowly(merges, ids);
      ids.resize(table.merge(ids.data(), ids.size()));
      EXPECT_EQ(ids, expected) << "seed " << seed << ", n " << n;
    }
  }
}

/// Training by counting everything anew before each merge.
std::vector<std::string> train_slowly(const std::map<std::string, std::int64_t>& pieces,
                                      std::size_t n_merges) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  std::sort(tokens.begin(), tokens.end(), [](const std::string& a, const std::string& b) {
    return text::byte_symbol(static_cast<std::uint8_t>(a[0])) <
           text::byte_symbol(static_cast<std::uint8_t>(b[0]));
  });
  std::map<std::string, int> id;
  for (std::size_t i = 0; i < 256; ++i) id[tokens[i]] = static_cast<int>(i);
  std::vector<std::pair<std::vector<int>, std::int64_t>> words;
  for (const auto& [piece, count] : pieces) {
    words.push_back({{}, count});
    for (const char c : piece) words.back().first.push_back(id[std::string(1, c)]);
  }
  while (tokens.size() < 256 + n_merges) {
    std::map<std::pair<int, int>, std::int64_t> counts;
    for (const auto& [word, count] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) counts[{word[i], word[i + 1]}] += count;
    }
    const auto best =
        std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
          return a.second != b.second ? a.second < b.second : a.first > b.first;
        });
    const auto [left, right] = best->first;
    const std::string joined =
        tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
    const auto [known, is_new] = id.emplace(joined, static_cast<int>(tokens.size()));
    if (is_new) tokens.push_back(joined);
    for (auto& [word, count] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != left || word[i + 1] != right) continue;
        word[i] = known->second;
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return tokens;
}

const std::string kShakespeare = std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt";

text::PieceTable counted(const std::string& text, int threads, const text::TrainOptions& options) {
  base::ThreadPool pool(threads);
  text::PieceCounter counter(pool, options.split, options.specials, options.nfc, 1u << 30);
  counter.add(text);
  return counter.take();
}

TEST(BpeTrain, AsTheTwin) {
  const std::string text = read_all(kShakespeare).substr(0, 20000) +
                           "aaaaaaa aaaa bababab ababab aaa aabaabaab 中文中文";
  text::TrainOptions options{.vocab_size = 556, .split = text::Split::kGpt2};
  std::map<std::string, std::int64_t> pieces;
  text::for_each_piece(options.split, text, [&](const char* p, const char* e, const char*) {
    ++pieces[std::string(p, e)];
  });
  const auto expected = train_slowly(pieces, 300);
  const auto trained = text::train_bpe(counted(text, 1, options), options);
  ASSERT_TRUE(trained.ok()) << trained.status().message();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(trained->token_bytes(static_cast<std::int32_t>(i)), expected[i]) << i;
  }
}

TEST(BpeTrain, SameForAnyNumberOfThreadsAndRoundTrips) {
  std::string text = read_all(kShakespeare);
  text += text;
  text::TrainOptions options{.vocab_size = 1500, .specials = {"<|endoftext|>"}};
  std::set<std::uint64_t> prints;
  for (const int threads : {1, 2, 3, 8}) {
    const auto trained = text::train_bpe(counted(text, threads, options), options);
    ASSERT_TRUE(trained.ok()) << trained.status().message();
    prints.insert(trained->fingerprint());
    EXPECT_EQ(trained->end_of_text(), 1499);
    const auto ids = encoded(*trained, text);
    EXPECT_EQ(trained->decode(ids), text);
    EXPECT_LT(ids.size(), text.size() / 3);
  }
  EXPECT_EQ(prints.size(), 1u);
}

TEST(BpeTrain, SpecialTokensPartTexts) {
  const text::TrainOptions options{.vocab_size = 258, .specials = {"<|end|>"}};
  const auto trained = text::train_bpe(counted("ab<|end|>ab<|end|>ab", 1, options), options);
  ASSERT_TRUE(trained.ok()) << trained.status().message();
  EXPECT_EQ(trained->token_bytes(256), "ab");
  EXPECT_EQ(trained->encode_with_special("ab<|end|>"), (std::vector<std::int32_t>{256, 257}));
}

TEST(BpeTrain, RefusesWhatTheCorpusDoesNotSupport) {
  text::TrainOptions options{.vocab_size = 5000};
  const auto status = text::train_bpe(counted("to be or not to be", 1, options), options).status();
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("--vocab-size"));
  EXPECT_THAT(status.message(), HasSubstr("at most 2"));
  options.vocab_size = 255;
  EXPECT_FALSE(text::check_train_options(options).ok());
}

TEST(BpeTrain, ForgetsRarePiecesWithinTheLimit) {
  base::ThreadPool pool(2);
  text::PieceCounter counter(pool, text::Split::kGpt2, {}, false, 200000);
  std::string text;
  for (int i = 0; i < 4000; ++i)
    text += " the word" + std::string(1, static_cast<char>('a' + i % 26));
  for (int i = 0; i < 20; ++i) {
    std::string rare = text;
    for (int j = 0; j < 1000; ++j) {
      rare += " x";
      for (int n = i * 1000 + j; n > 0; n /= 26) rare += static_cast<char>('a' + n % 26);
    }
    counter.add(rare);
  }
  EXPECT_GE(counter.forgotten_below(), 2u);
  const text::PieceTable table = counter.take();
  EXPECT_LT(table.bytes(), 400000u);
  std::uint64_t n_the = 0;
  table.for_each([&](std::string_view piece, std::uint64_t count) {
    if (piece == " the") n_the = count;
  });
  EXPECT_EQ(n_the, 80000u);
}

}  // namespace
}  // namespace belay
