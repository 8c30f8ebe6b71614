// prepare() with near-duplicates, rules for quality and mixtures of sources.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/env_wrapper.h"
#include "base/json.h"
#include "data/embedded_corpus.h"
#include "data/minhash.h"
#include "data/mixture.h"
#include "prepare_fixture.h"

namespace belay::data {
namespace {

using base::Env;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Paragraphs of the embedded novels of at least 300 bytes.
std::vector<std::string> long_paragraphs(std::size_t n) {
  const std::string text = embedded_corpus().valid;
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size() && found.size() < n;) {
    const std::size_t end = std::min(text.find("\n\n", at), text.size());
    if (end - at >= 300) found.push_back(text.substr(at, end - at));
    at = end + 2;
  }
  return found;
}

std::string file_of(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + "\n<|endoftext|>\n";
  return all;
}

/// The same with the last of its words changed: likeness above 0.8 for such long texts.
std::string nearly(const std::string& text, const std::string& end) {
  return text.substr(0, text.rfind(' ')) + " " + end;
}

class PrepareChoices : public Prepare {
 protected:
  /// 200 long_paragraphs, every fourth twice more, nearly the same, in another file.
  void write_near_duplicates() {
    const std::vector<std::string> originals = long_paragraphs(200);
    std::vector<std::string> others;
    for (std::size_t i = 0; i < originals.size(); i += 4) {
      others.push_back(nearly(originals[i], "changed"));
      others.push_back(nearly(originals[i], "again"));
    }
    write("a.txt", file_of(originals));
    write("b.txt", file_of(others));
    const std::vector<std::string> more = long_paragraphs(260);
    write("more.txt", file_of({more.begin() + 200, more.end()}));
  }
  static const PrepareOptions& all_choices() {
    static const PrepareOptions options = {.valid_fraction = 0.2,
                                           .shard_tokens = 30000,
                                           .near_duplicates = 0.8,
                                           .quality = "gopher",
                                           .filters = {"min-words=20", "max-top-2gram=off"},
                                           .weights = {"a.txt=0.25", "*=0.75"}};
    return options;
  }
};

TEST_F(PrepareChoices, OneOfNearDuplicatesStays) {
  write_near_duplicates();
  const auto m = prepare({"a.txt", "b.txt"}, {.valid_fraction = 0, .near_duplicates = 0.8});
  ASSERT_TRUE(m.ok()) << m.status().message();
  const NearDuplicateCounts& n = m->near_duplicates;
  EXPECT_EQ(n.dropped.documents, 100);
  EXPECT_EQ(n.from_training, 0);
  ASSERT_THAT(n.sources, SizeIs(1));
  EXPECT_EQ(n.sources[0].file, dir_.file("b.txt"));
  EXPECT_EQ(n.sources[0].dropped.documents, 100);
  EXPECT_EQ(n.sources[0].dropped.text_bytes, n.dropped.text_bytes);
  ASSERT_THAT(n.examples, SizeIs(10));
  EXPECT_EQ(n.examples[0].dropped, dir_.file("b.txt") + ", document 1");
  EXPECT_EQ(n.examples[0].kept, dir_.file("a.txt") + ", document 1");
  EXPECT_GT(n.examples[0].likeness, 0.7);
  std::vector<std::string> expected = long_paragraphs(200);
  for (std::string& text : expected) text += "\n";
  EXPECT_EQ(texts(Split::kTrain), expected);
  // What is kept has the bytes that it has without the choice.
  ASSERT_TRUE(prepare({"a.txt"}, {.valid_fraction = 0}).ok());
  const std::uint64_t plain = Dataset::open(Env::posix(), dir_.file("out"))->fingerprint();
  ASSERT_TRUE(prepare({"a.txt", "b.txt"}, {.valid_fraction = 0, .near_duplicates = 0.8}).ok());
  const auto dataset = Dataset::open(Env::posix(), dir_.file("out"));
  EXPECT_EQ(dataset->fingerprint(), plain);
  EXPECT_EQ(dataset->manifest()->near_duplicates.dropped.documents, 100);
  EXPECT_EQ(dataset->unique_train_tokens(), dataset->train().n_tokens());
}

/// Whatever falls to validation by its hash, nothing like it is trained on.
TEST_F(PrepareChoices, NoTrainingDocumentIsLikeOneForValidation) {
  write_near_duplicates();
  const auto contaminated = [&] {
    const MinHash minhash(0.8);
    std::vector<Sketch> valid;
    for (const std::string& text : texts(Split::kValid)) valid.push_back(minhash.sketch(text));
    int n = 0;
    for (const std::string& text : texts(Split::kTrain)) {
      const Sketch sketch = minhash.sketch(text);
      n += std::any_of(valid.begin(), valid.end(),
                       [&](const Sketch& v) { return likeness(v.digits, sketch.digits) >= 0.8; });
    }
    return n;
  };
  ASSERT_TRUE(prepare({"a.txt", "b.txt"}, {.valid_fraction = 0.3}).ok());
  EXPECT_GT(contaminated(), 10);
  const auto m = prepare({"a.txt", "b.txt"}, {.valid_fraction = 0.3, .near_duplicates = 0.8});
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_GT(m->near_duplicates.from_training, 10);
  EXPECT_EQ(contaminated(), 0);
  // And the same where validation has a file of its own, though that is read first.
  const auto given = prepare({"a.txt"}, {.valid_inputs = {"b.txt"}, .near_duplicates = 0.8});
  ASSERT_TRUE(given.ok()) << given.status().message();
  EXPECT_EQ(given->near_duplicates.from_training, 50);
  EXPECT_EQ(contaminated(), 0);
}

TEST_F(PrepareChoices, RulesAreCountedByName) {
  const std::vector<std::string> good = long_paragraphs(20);
  std::string repeated;
  for (int i = 0; i < 40; ++i) repeated += "nothing and that is everything\n";
  write("a.txt", file_of(good) + file_of({"too short", repeated, good[0], "\n "}));
  const PrepareOptions o = {.valid_fraction = 0,
                            .quality = "gopher",
                            .filters = {"min-words=20"},
                            .dropped = dir_.file("dropped.jsonl")};
  const auto m = prepare({"a.txt"}, o);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(texts(Split::kTrain).size(), 20u);
  EXPECT_EQ(m->duplicates, 1);
  std::map<std::string, std::int64_t> by_rule;
  for (const FilterCount& f : m->filters) {
    if (f.dropped.documents > 0) by_rule[f.rule] = f.dropped.documents;
  }
  EXPECT_EQ(by_rule,
            (std::map<std::string, std::int64_t>{{"min-words", 1}, {"max-repeated-lines", 1}}));
  EXPECT_EQ(m->filters[0].limit, 20);
  std::vector<nlohmann::json> lines;
  std::istringstream log(read(dir_.file("dropped.jsonl")));
  for (std::string line; std::getline(log, line);) lines.push_back(base::json_value(line));
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_EQ(lines[0]["reason"], "min-words");
  EXPECT_EQ(lines[0]["value"], 2);
  EXPECT_EQ(lines[0]["limit"], 20);
  EXPECT_EQ(lines[0]["document"], 21);
  EXPECT_EQ(lines[0]["begin"], "too short\n");
  EXPECT_EQ(lines[1]["reason"], "max-repeated-lines");
  EXPECT_EQ(lines[1]["value"], 39.0 / 40);
  EXPECT_EQ(lines[2]["reason"], "exact duplicate");
  EXPECT_EQ(lines[3]["reason"], "no text");
  // Validation that is given is not judged.
  write("v.txt", "short");
  ASSERT_TRUE(prepare({"a.txt"}, {.valid_inputs = {"v.txt"}, .quality = "gopher"}).ok());
  EXPECT_THAT(texts(Split::kValid), ElementsAre("short"));
}

TEST_F(PrepareChoices, TheLogNamesWhatANearDuplicateIsLike) {
  write_near_duplicates();
  ASSERT_TRUE(prepare({"a.txt", "b.txt"}, {.valid_fraction = 0,
                                           .near_duplicates = 0.8,
                                           .dropped = dir_.file("new/dropped.jsonl")})
                  .ok());
  std::istringstream log(read(dir_.file("new/dropped.jsonl")));
  int n = 0;
  for (std::string line; std::getline(log, line); ++n) {
    const auto entry = base::json_value(line);
    EXPECT_EQ(entry["reason"], "near-duplicate");
    EXPECT_EQ(entry["kept"], dir_.file("a.txt") + ", document " + std::to_string(n / 2 * 4 + 1));
  }
  EXPECT_EQ(n, 100);
}

TEST_F(PrepareChoices, SharesAreThoseOfTheWeights) {
  const std::vector<std::string> all = long_paragraphs(300);
  write("web/a.txt", file_of({all.begin(), all.begin() + 200}));
  write("web/b.txt", file_of({all.begin() + 200, all.begin() + 270}));
  write("books/c.txt", file_of({all.begin() + 270, all.end()}));
  const auto m = prepare({"web", "books"}, {.valid_fraction = 0, .weights = {"web=6", "books=4"}});
  ASSERT_TRUE(m.ok()) << m.status().message();
  ASSERT_THAT(m->mixture, SizeIs(2));
  const MixtureSource &web = m->mixture[0], &books = m->mixture[1];
  const auto& train = m->part(Split::kTrain);
  EXPECT_NEAR(static_cast<double>(web.tokens) / static_cast<double>(train.tokens), 0.6, 0.01);
  EXPECT_EQ(web.tokens + books.tokens, train.tokens);
  EXPECT_NEAR(
      static_cast<double>(train.tokens) / static_cast<double>(web.held_tokens + books.held_tokens),
      1, 0.01);
  EXPECT_EQ(web.share, 0.6);
  EXPECT_EQ(web.files, 2);
  EXPECT_EQ(web.documents, 270);
  EXPECT_LT(web.epochs, 1);
  EXPECT_GT(books.epochs, 3);
  EXPECT_EQ(books.unique_tokens, books.held_tokens);
  EXPECT_EQ(m->unique_train_tokens, web.unique_tokens + books.unique_tokens);
  // Whole documents, each as often as its source's epochs say; copies never side by side.
  const std::vector<std::string> written = texts(Split::kTrain);
  std::map<std::string, std::int64_t> times;
  for (std::size_t i = 0; i < written.size(); ++i) {
    ++times[written[i]];
    EXPECT_TRUE(i == 0 || written[i] != written[i - 1]);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const double epochs = i < 270 ? web.epochs : books.epochs;
    const auto n = static_cast<double>(times[all[i] + "\n"]);
    EXPECT_TRUE(n == std::floor(epochs) || n == std::ceil(epochs)) << i << ": " << n;
  }
  const auto dataset = Dataset::open(Env::posix(), dir_.file("out"));
  EXPECT_EQ(dataset->unique_train_tokens(), m->unique_train_tokens);
  EXPECT_EQ(dataset->manifest()->mixture[1].epochs, books.epochs);
}

TEST_F(PrepareChoices, AMixtureHasItsOwnLengthAndSeed) {
  const std::vector<std::string> all = long_paragraphs(200);
  write("a.txt", file_of({all.begin(), all.begin() + 100}));
  write("b.txt", file_of({all.begin() + 100, all.end()}));
  PrepareOptions o = {.valid_fraction = 0, .weights = {"a.txt=1", "b.*=1"}, .train_tokens = 20000};
  const auto m = prepare({"a.txt", "b.txt"}, o);
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_NEAR(static_cast<double>(m->part(Split::kTrain).tokens), 20000, 1000);
  EXPECT_NEAR(static_cast<double>(m->mixture[0].tokens), 10000, 500);
  const auto first = texts(Split::kTrain);
  o.seed = 2;
  ASSERT_TRUE(prepare({"a.txt", "b.txt"}, o).ok());
  EXPECT_NE(texts(Split::kTrain), first);
  // More of the same mixture holds all of the less.
  o.seed = 1;
  o.train_tokens = 30000;
  ASSERT_TRUE(prepare({"a.txt", "b.txt"}, o).ok());
  EXPECT_THAT(texts(Split::kTrain), ::testing::IsSupersetOf(first));
}

TEST_F(PrepareChoices, OneBookWithAWeightGivesItsEndToValidation) {
  const std::vector<std::string> all = long_paragraphs(100);
  std::string book;
  for (const std::string& text : all) book += text + "\n";
  write("book.txt", book);
  const auto m =
      prepare({"book.txt"}, {.valid_fraction = 0.1,
                             .near_duplicates = 0.8,
                             .weights = {"book.txt=1"},
                             .train_tokens = 3 * static_cast<std::int64_t>(book.size())});
  ASSERT_TRUE(m.ok()) << m.status().message();
  const auto train = texts(Split::kTrain), valid = texts(Split::kValid);
  ASSERT_THAT(valid, SizeIs(1));
  ASSERT_THAT(train, SizeIs(3));
  EXPECT_THAT(train, Each(train[0]));
  EXPECT_EQ(train[0] + valid[0], book);
  EXPECT_EQ(m->unique_train_tokens * 3, m->part(Split::kTrain).tokens);
}

TEST_F(PrepareChoices, SameBytesForAnyThreads) {
  write_near_duplicates();
  write("c.txt", many(300) + embedded_corpus().valid);
  std::map<std::string, std::string> first;
  for (const int threads : {1, 2, 3, 8}) {
    PrepareOptions o = all_choices();
    o.dropped = dir_.file("dropped.jsonl");
    const auto m = prepare({"a.txt", "b.txt", "more.txt", "c.txt"}, o, threads);
    ASSERT_TRUE(m.ok()) << m.status().message();
    EXPECT_GT(m->near_duplicates.dropped.documents, 0);
    EXPECT_GT(m->filters[0].dropped.documents, 200);
    EXPECT_GT(m->mixture[0].tokens, 0);
    EXPECT_GT(m->part(Split::kTrain).shards.size(), 1u);
    auto files = content(dir_.file("out"));
    files["log"] = read(dir_.file("dropped.jsonl"));
    if (first.empty()) first = files;
    EXPECT_EQ(files, first) << threads << " threads";
  }
}

TEST_F(PrepareChoices, AFaultLeavesTheOldTheNewOrNoDataset) {
  write_near_duplicates();
  write("old.txt", many(100));
  PrepareOptions o = all_choices();
  o.dropped = dir_.file("dropped.jsonl");
  for (std::int64_t n = 0;; n += 3) {
    ASSERT_LT(n, 500);
    std::filesystem::remove_all(dir_.file("out"));
    std::filesystem::remove(o.dropped);
    ASSERT_TRUE(prepare({"old.txt"}).ok());
    const auto old = content(dir_.file("out"));
    test::FaultEnv env;
    env.fail_from = n;
    const auto m = prepare({"a.txt", "b.txt", "more.txt"}, o, 1, env);
    if (m.ok()) {
      EXPECT_GT(n, 30);
      break;
    }
    EXPECT_THAT(m.status().message(), HasSubstr("no space is left"));
    const auto dataset = Dataset::open(Env::posix(), dir_.file("out"));
    if (dataset.ok() && dataset->manifest()->mixture.empty()) {
      EXPECT_EQ(documents(dataset->train(), tokenizer_).size() +
                    documents(dataset->valid(), tokenizer_).size(),
                100u);
    }
    const std::string log = read(o.dropped);
    EXPECT_TRUE(log.empty() || log.ends_with("}\n"));
  }
}

/// Opening a file for the third time (a look at its begin, the survey, now the writing) changes it.
class ChangingEnv : public base::EnvWrapper {
 public:
  explicit ChangingEnv(std::string more) : EnvWrapper(Env::posix()), more_(std::move(more)) {}
  base::Result<std::unique_ptr<base::ReadableFile>> open_file(const std::string& path) override {
    if (++opened_ == 3) std::ofstream(path, std::ios::app) << more_;
    return target().open_file(path);
  }

 private:
  std::string more_;
  int opened_ = 0;
};

TEST_F(PrepareChoices, AFileThatChangesWhileItIsReadIsNamed) {
  for (const std::string more : {"one document more", " "}) {
    write("a.txt", many(10) + "the end");
    ChangingEnv env(more == " " ? more : "\n<|endoftext|>\n" + more);
    const auto m = prepare({"a.txt"}, {.near_duplicates = 0.8}, 1, env);
    EXPECT_THAT(m.status().message(),
                AllOf(HasSubstr("a.txt"), HasSubstr("was changed while it was read")));
    EXPECT_THAT(content(dir_.file("out")), IsEmpty());
  }
}

TEST_F(PrepareChoices, MistakesAreNamed) {
  write("a.txt", many(50));
  write("b.txt", many(50, "other"));
  write("tiny.txt", "a");
  const auto fails = [&](PrepareOptions o, const std::string& message,
                         std::vector<std::string> inputs = {"a.txt", "b.txt"}) {
    const auto m = prepare(std::move(inputs), std::move(o));
    ASSERT_FALSE(m.ok()) << message;
    EXPECT_EQ(m.status().code(), base::Code::kInvalidArgument) << message;
    EXPECT_THAT(m.status().message(), HasSubstr(message));
  };
  fails({.near_duplicates = 0.1}, "--near-duplicates: is out of range (seen 0.1");
  fails({.near_duplicates = std::nan("")}, "--near-duplicates: is out of range");
  fails({.quality = "goper"}, "--quality: is not known (seen 'goper'; allowed gopher");
  fails({.filters = {"min-word=3"}}, "did you mean min-words?");
  fails({.filters = {"min-words=many"}}, "--filter min-words: is not a limit (seen 'many'");
  fails({.filters = {"min-words=-1"}}, "is not a limit");
  fails({.filters = {"max-bullets,"}}, "is not the name of a rule");
  fails({.filters = {"min-words=1000"}}, "hold no text for training that is kept");
  fails({.out = dir_.file("out"), .dropped = dir_.file("out/x.jsonl")}, "lies in the folder");
  fails({.weights = {"a.txt"}}, "is not of the form PATTERN=WEIGHT");
  fails({.weights = {"a.txt=0", "*=1"}}, "is not of the form PATTERN=WEIGHT");
  fails({.weights = {"a.txt=1"}}, "b.txt: has no weight");
  fails({.weights = {"a.txt=1", "*=1", "c.txt=1"}}, "(seen 'c.txt'; allowed '");
  fails({.weights = {"*=1", "a.txt=1"}}, "matches no file for training that no pattern before");
  fails({.train_tokens = 100}, "--train-tokens: needs weights");
  fails({.weights = {"*=1"}, .train_tokens = -1}, "--train-tokens: is out of range");
  fails({.valid_fraction = 0, .weights = {"tiny*=1", "*=1"}, .train_tokens = 10000},
        "would be repeated too often (seen 5000 epochs; allowed at most 1000)",
        {"a.txt", "tiny.txt"});
  EXPECT_FALSE(std::filesystem::exists(dir_.file("out")));
}

TEST(Matches, WholePartsOfAPath) {
  EXPECT_TRUE(matches("books", "data/books/a.txt"));
  EXPECT_TRUE(matches("books/", "books/a.txt"));
  EXPECT_TRUE(matches("a.txt", "data/books/a.txt"));
  EXPECT_TRUE(matches("data/books", "/x/data/books/a.txt"));
  EXPECT_TRUE(matches("/x/data", "/x/data/books/a.txt"));
  EXPECT_TRUE(matches("books/*.txt", "data/books/a.txt"));
  EXPECT_TRUE(matches("?.t*t", "data/books/a.txt"));
  EXPECT_TRUE(matches("*", "a"));
  EXPECT_FALSE(matches("book", "data/books/a.txt"));
  EXPECT_FALSE(matches("a", "data/books/a.txt"));
  EXPECT_FALSE(matches("", "data/books/a.txt"));
  EXPECT_FALSE(matches("books/*.gz", "data/books/a.txt"));
}

}  // namespace
}  // namespace belay::data
