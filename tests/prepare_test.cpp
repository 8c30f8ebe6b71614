// Text to shards and back: what is kept, where it goes, what a fault or a kill leaves behind.
#include "data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "data/dataset.h"
#include "data/embedded_corpus.h"
#include "data/summary.h"
#include "prepare_fixture.h"

namespace belay::data {
namespace {

using base::Env;
using base::Result;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(Prepare, KeepsEveryDocumentOnceAndDropsDuplicates) {
  write("a.txt", many(200) + "document 7\n<|endoftext|>\n\n<|endoftext|>\nthe end");
  write("b.jsonl", "{\"text\": \"document 9\\n\"}\n\n{\"text\": \"\"}\n{\"text\": \"from b\"}\n");
  const auto m = prepare({"a.txt", "b.jsonl"});
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_EQ(m->duplicates, 2);
  EXPECT_EQ(m->duplicate_bytes, 22);
  EXPECT_EQ(m->empty, 2);
  std::vector<std::string> all = texts(Split::kTrain);
  const std::vector<std::string> valid = texts(Split::kValid);
  EXPECT_GT(valid.size(), 2u);
  EXPECT_LT(valid.size(), 25u);
  all.insert(all.end(), valid.begin(), valid.end());
  std::vector<std::string> expected = {"the end", "from b"};
  for (int i = 0; i < 200; ++i) expected.push_back("document " + std::to_string(i) + "\n");
  EXPECT_THAT(all, ::testing::UnorderedElementsAreArray(expected));
}

TEST_F(Prepare, ADocumentStaysInItsSplit) {
  write("a.txt", many(300));
  write("b.txt", many(300, "other"));
  ASSERT_TRUE(prepare({"a.txt"}).ok());
  const auto alone = texts(Split::kValid);
  ASSERT_TRUE(prepare({"b.txt", "a.txt"}).ok());
  auto both = texts(Split::kValid);
  for (const std::string& text : alone) EXPECT_THAT(both, ::testing::Contains(text));
  ASSERT_TRUE(prepare({"b.txt", "a.txt"}, {.valid_fraction = 0.2}).ok());
  const auto more = texts(Split::kValid);
  for (const std::string& text : both) EXPECT_THAT(more, ::testing::Contains(text));
  EXPECT_NEAR(static_cast<double>(more.size()), 120, 40);
  ASSERT_TRUE(prepare({"a.txt"}, {.valid_fraction = 0}).ok());
  EXPECT_THAT(texts(Split::kValid), IsEmpty());
}

TEST_F(Prepare, OneBookGivesItsEndToValidation) {
  std::string book;
  for (int i = 0; i < 100; ++i) book += "This is line " + std::to_string(i) + " of the book.\n";
  write("book.txt", book);
  const auto m = prepare({"book.txt"}, {.valid_fraction = 0.1});
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_THAT(m->held_out, HasSubstr("book.txt, document 1"));
  const auto train = texts(Split::kTrain), valid = texts(Split::kValid);
  ASSERT_EQ(train.size(), 1u);
  ASSERT_EQ(valid.size(), 1u);
  EXPECT_EQ(train[0] + valid[0], book);
  EXPECT_TRUE(valid[0].starts_with("This is line"));
  EXPECT_NEAR(static_cast<double>(valid[0].size()) / static_cast<double>(book.size()), 0.1, 0.02);
  const auto dataset = Dataset::open(Env::posix(), dir_.file("out"));
  EXPECT_EQ(dataset->locate(Split::kValid, 3),
            dir_.file("book.txt") + ", document 1, byte " + std::to_string(train[0].size() + 3));
}

TEST_F(Prepare, ValidationFilesOfItsOwn) {
  write("train.txt", many(50));
  write("valid.txt", "held out\n<|endoftext|>\ndocument 3\n");
  const auto m = prepare({"train.txt"}, {.valid_inputs = {"valid.txt"}});
  ASSERT_TRUE(m.ok()) << m.status().message();
  EXPECT_THAT(texts(Split::kValid), ElementsAre("held out\n", "document 3\n"));
  EXPECT_EQ(texts(Split::kTrain).size(), 49u);  // what is in both is not trained on
  EXPECT_EQ(m->duplicates, 1);
  const auto all = prepare({"valid.txt"}, {.valid_inputs = {"valid.txt"}});
  EXPECT_THAT(all.status().message(), HasSubstr("not also in the files for validation"));
}

TEST_F(Prepare, SameBytesForAnyThreadsAndAgain) {
  write("a.txt", embedded_corpus().valid + many(500));
  write("b.jsonl", "{\"t\": \"from b\"}\n");
  std::map<std::string, std::string> first;
  for (const int threads : {1, 2, 3, 1}) {
    const auto m = prepare({"a.txt", "b.jsonl"}, {.field = "t", .shard_tokens = 200000}, threads);
    ASSERT_TRUE(m.ok()) << m.status().message();
    EXPECT_GT(m->part(Split::kTrain).shards.size(), 1u);
    const auto files = content(dir_.file("out"));
    if (first.empty()) first = files;
    EXPECT_EQ(files, first) << threads << " threads";
  }
  EXPECT_EQ(texts(Split::kTrain).size() + texts(Split::kValid).size(), 503u);
}

TEST_F(Prepare, AnotherDatasetTakesThePlaceOfTheOld) {
  write("a.txt", many(100));
  write("b.txt", many(100, "other"));
  ASSERT_TRUE(prepare({"a.txt"}, {.shard_tokens = 300}).ok());
  const auto old = content(dir_.file("out"));
  ASSERT_TRUE(prepare({"b.txt"}).ok());
  for (const auto& [name, bytes] : content(dir_.file("out"))) {
    EXPECT_FALSE(name.ends_with(".shard") && old.contains(name)) << name;
  }
  EXPECT_EQ(texts(Split::kTrain).front(), "other 0\n");
}

TEST_F(Prepare, AMistakeLeavesNothingAndTheOldDataset) {
  write("good.txt", many(100));
  write("bad.txt", many(3000) +
                       "Stra\xDF"
                       "e");
  write("zero.txt", many(3000) + std::string("a\0b", 3));
  write("bad.jsonl", "{\"text\": \"a\"}\n{\"body\": \"b\"}\n");
  write("blank.txt", " \n\n");
  const auto fails = [&](const std::string& name, const std::string& message) {
    const auto m = prepare({name}, {.shard_tokens = 1000});
    ASSERT_FALSE(m.ok()) << name;
    EXPECT_THAT(m.status().message(), HasSubstr(message));
  };
  const auto all_fail = [&] {
    fails("bad.txt", "is not UTF-8 (seen 0xDF, in line 1 of document 3001)");
    fails("zero.txt", "is zero: the file is binary, not text");
    fails("bad.jsonl", "bad.jsonl:2: has no field 'text' (seen 'body')");
    fails("missing.txt", "does not exist");
    fails("blank.txt", "blank.txt: and what follows it hold no text");
  };
  all_fail();
  EXPECT_THAT(content(dir_.file("out")), IsEmpty());
  ASSERT_TRUE(prepare({"good.txt"}).ok());
  const auto before = content(dir_.file("out"));
  all_fail();
  EXPECT_EQ(content(dir_.file("out")), before);
}

TEST_F(Prepare, TheByteOfAFaultCountsInTheWholeFile) {
  const std::string text = many(3000);
  write("bad.txt", text + "ab\xDF");
  EXPECT_THAT(prepare({"bad.txt"}).status().message(),
              HasSubstr("bad.txt: byte " + std::to_string(text.size() + 2)));
}

TEST_F(Prepare, AFolderWithOtherFilesIsNotWrittenInto) {
  write("a.txt", many(10));
  write("out/notes.md", "mine");
  EXPECT_THAT(prepare({"a.txt"}).status().message(),
              AllOf(HasSubstr("holds files that belong to no dataset"), HasSubstr("notes.md")));
  EXPECT_THAT(prepare({"a.txt"}, {.out = dir_.file("a.txt")}).status().message(),
              HasSubstr("is a file"));
}

TEST_F(Prepare, OptionsAreChecked) {
  write("a.txt", many(10));
  for (const double fraction : {-0.1, 0.6, std::nan("")}) {
    EXPECT_EQ(prepare({"a.txt"}, {.valid_fraction = fraction}).status().code(),
              base::Code::kInvalidArgument);
  }
  base::ThreadPool pool(1);
  const std::atomic<bool> stop{true};
  const auto m = data::prepare(pool, Env::posix(), tokenizer_,
                               {.inputs = {dir_.file("a.txt")}, .out = dir_.file("out")}, stop,
                               [](const PrepareState&) {});
  EXPECT_EQ(m.status().code(), base::Code::kCancelled);
  EXPECT_THAT(content(dir_.file("out")), IsEmpty());
}

/// Every change of the disk fails once, and all after it: what is left opens as old, as new, or
/// not.
TEST_F(Prepare, AFaultLeavesTheOldTheNewOrNoDataset) {
  write("a.txt", many(100));
  write("b.txt", many(100, "other"));
  int n_none = 0;
  for (std::int64_t n = 0;; ++n) {
    std::filesystem::remove_all(dir_.file("out"));
    ASSERT_TRUE(prepare({"a.txt"}, {.shard_tokens = 500}).ok());
    test::FaultEnv env;
    env.fail_from = n;
    const auto m = prepare({"b.txt"}, {.shard_tokens = 500}, 1, env);
    const auto dataset = Dataset::open(Env::posix(), dir_.file("out"));
    if (m.ok()) {
      EXPECT_EQ(texts(Split::kTrain).front(), "other 0\n");
      break;
    }
    EXPECT_THAT(m.status().message(), HasSubstr("no space is left"));
    if (dataset.ok()) {
      EXPECT_EQ(documents(dataset->train(), tokenizer_).size() +
                    documents(dataset->valid(), tokenizer_).size(),
                100u);
    } else {
      EXPECT_THAT(dataset.status().message(), HasSubstr("is no prepared dataset"));
      ++n_none;
    }
    // And the next run makes it whole.
    ASSERT_TRUE(prepare({"b.txt"}, {.shard_tokens = 500}).ok());
    for (const auto& [name, bytes] : content(dir_.file("out"))) {
      EXPECT_FALSE(base::is_temporary_name(name)) << name;
    }
    ASSERT_LT(n, 500);
  }
  EXPECT_GT(n_none, 0);
}

class Damaged : public Prepare {
 protected:
  void SetUp() override {
    write("a.txt", many(150));
    write("b.jsonl", "{\"text\": \"from b\"}\n");
    ASSERT_TRUE(prepare({"a.txt", "b.jsonl"}, {.shard_tokens = 500}).ok());
    good_ = content(dir_.file("out"));
  }
  base::Status open() const { return Dataset::open(Env::posix(), dir_.file("out")).status(); }
  std::map<std::string, std::string> good_;
};

TEST_F(Damaged, AThousandFlippedBitsAreNamed) {
  ASSERT_TRUE(open().ok());
  std::vector<std::pair<std::string, std::size_t>> bytes;
  for (const auto& [name, text] : good_) {
    for (std::size_t i = 0; i < text.size(); ++i) bytes.emplace_back(name, i);
  }
  const base::Rng rng(5, base::Purpose::kTest);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto& [name, at] = bytes[rng.below(2 * i, bytes.size())];
    std::string damaged = good_[name];
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << rng.below(2 * i + 1, 8)));
    write("out/" + name, damaged);
    const base::Status status = open();
    ASSERT_FALSE(status.ok()) << name << " byte " << at;
    ASSERT_THAT(status.message(), HasSubstr(name));
    write("out/" + name, good_[name]);
  }
  EXPECT_TRUE(open().ok());
}

TEST_F(Damaged, MissingCutOffAndMixedUpFilesAreNamed) {
  for (const auto& [name, text] : good_) {
    std::filesystem::remove(dir_.file("out/" + name));
    EXPECT_FALSE(open().ok()) << name;
    write("out/" + name, text.substr(0, text.size() / 2));
    EXPECT_THAT(open().message(), HasSubstr(name));
    write("out/" + name, "");
    EXPECT_THAT(open().message(), HasSubstr(name));
    write("out/" + name, text);
  }
  std::vector<std::string> shards;
  for (const auto& [name, text] : good_) {
    if (name.ends_with(".shard")) shards.push_back(name);
  }
  ASSERT_GE(shards.size(), 2u);
  write("out/" + shards[0], good_[shards[1]]);
  EXPECT_THAT(open().message(),
              HasSubstr(shards[0] + ": is not the shard that dataset.json means"));
  EXPECT_THAT(Dataset::open(Env::posix(), dir_.file("none")).status().message(),
              HasSubstr("does not exist"));
  EXPECT_THAT(Dataset::open(Env::posix(), dir_.file("a.txt")).status().message(),
              HasSubstr("belay data prepare"));
}

TEST_F(Damaged, FingerprintFollowsFromTheText) {
  const auto fingerprint = [&] {
    return Dataset::open(Env::posix(), dir_.file("out"))->fingerprint();
  };
  const std::uint64_t one = fingerprint();
  ASSERT_TRUE(prepare({"a.txt", "b.jsonl"}, {.shard_tokens = 500}).ok());
  EXPECT_EQ(fingerprint(), one);
  ASSERT_TRUE(prepare({"a.txt"}, {.shard_tokens = 500}).ok());
  EXPECT_NE(fingerprint(), one);
}

TEST_F(Prepare, LocatesTokens) {
  write("a.txt", "first\n<|endoftext|>\nz\xC3\xA4hne");
  write("b.jsonl", "\n{\"text\": \"from b\"}\n");
  ASSERT_TRUE(prepare({"a.txt", "b.jsonl"}, {.valid_fraction = 0}).ok());
  const auto d = Dataset::open(Env::posix(), dir_.file("out"));
  EXPECT_EQ(d->locate(Split::kTrain, 2), dir_.file("a.txt") + ", document 1, byte 2");
  EXPECT_EQ(d->locate(Split::kTrain, 9), dir_.file("a.txt") + ", document 2, byte 23");
  EXPECT_EQ(d->locate(Split::kTrain, 13), dir_.file("b.jsonl") + ", line 2, byte 1");
}

TEST_F(Prepare, SummaryCountsWhatIsThere) {
  std::string text;
  for (const int n : {1, 2, 3, 3, 4, 100}) {
    text +=
        std::string(static_cast<std::size_t>(n - 1), static_cast<char>('a' + text.size() % 26)) +
        std::to_string(text.size() % 10) + "\n<|endoftext|>\n";
  }
  write("a.txt", text);
  ASSERT_TRUE(prepare({"a.txt"}, {.valid_fraction = 0}).ok());
  const auto d = Dataset::open(Env::posix(), dir_.file("out"));
  const SplitSummary s = summarize(d->train(), d->vocab_size());
  EXPECT_EQ(s.documents, 6);
  EXPECT_EQ(s.tokens, 113 + 6);
  EXPECT_EQ(s.text_bytes, 119);
  EXPECT_EQ(s.shortest, 2);
  EXPECT_EQ(s.median, 4);
  EXPECT_EQ(s.longest, 101);
  std::int64_t total = 0;
  for (const LengthBucket& b : s.lengths) total += b.documents;
  EXPECT_EQ(total, 6);
  EXPECT_EQ(s.lengths.front().least, 2);
  EXPECT_EQ(s.lengths.back().least, 64);
  const auto samples = draw_samples(*d, Split::kTrain, 20, 5, 1);
  ASSERT_EQ(samples.size(), 6u);
  EXPECT_EQ(samples[5].text.size(), 5u);
  EXPECT_EQ(samples[5].tokens, 101);
  EXPECT_EQ(draw_samples(*d, Split::kTrain, 2, 5, 1).size(), 2u);
  EXPECT_EQ(summarize(d->valid(), d->vocab_size()).documents, 0);
}

}  // namespace
}  // namespace belay::data
