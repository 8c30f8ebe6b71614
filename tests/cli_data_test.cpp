// belay data, as the program does it: reports, refusals, a kill.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "run_belay.h"

namespace belay {
namespace {

using nlohmann::json;
using test::belay;
using test::Outcome;
using test::write;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kTokenizer = BELAY_TEST_DATA "/stories260K";

std::string stories(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "Once upon a time, there was a girl with " + std::to_string(i) +
            " apples.\n<|endoftext|>\n";
  }
  return text;
}

TEST(CliData, PrepareAndShow) {
  const test::TempDir dir;
  write(dir.file("a.txt"), stories(100) + stories(1));
  write(dir.file("b.jsonl"), "{\"body\": \"The cat \xE7\x8C\xAB slept.\"}\n{\"body\": \"\"}\n");
  const std::string out = dir.file("shards");
  const Outcome made =
      belay("data prepare --tokenizer " + kTokenizer + " --field body --json --out " + out + " " +
            dir.file("a.txt") + " " + dir.file("b.jsonl"));
  ASSERT_EQ(made.code, 0) << made.err;
  const json m = base::json_value(made.out);
  EXPECT_EQ(m["dropped"]["duplicates"], 1);
  EXPECT_EQ(m["dropped"]["empty"], 1);
  EXPECT_EQ(m["tokenizer"]["vocab_size"], 512);
  EXPECT_EQ(m["tokenizer"]["end_of_text"], 2);
  EXPECT_EQ(m["train"]["documents"].get<int>() + m["valid"]["documents"].get<int>(), 101);

  const Outcome shown = belay("data show " + out + " --json --samples 2");
  ASSERT_EQ(shown.code, 0) << shown.err;
  const json s = base::json_value(shown.out);
  EXPECT_EQ(s["train"]["tokens"], m["train"]["tokens"]);
  EXPECT_EQ(s["train"]["text_bytes"], m["train"]["text_bytes"]);
  EXPECT_GT(s["train"]["bytes_per_token"].get<double>(), 1.5);
  EXPECT_EQ(s["samples"].size(), 2u);
  EXPECT_THAT(s["samples"][0]["where"].get<std::string>(), HasSubstr("a.txt, document"));
  EXPECT_THAT(s["samples"][0]["text"].get<std::string>(), HasSubstr("Once upon a time"));
  int documents = 0;
  for (const json& bucket : s["train"]["lengths"]) documents += bucket["documents"].get<int>();
  EXPECT_EQ(documents, s["train"]["documents"]);
  EXPECT_EQ(s["sources"].size(), 2u);

  const Outcome text = belay("data show " + out + " --split valid");
  EXPECT_THAT(text.out, AllOf(HasSubstr("bytes/token"), HasSubstr("1 exact duplicates"),
                              HasSubstr("tokens a document in valid"), HasSubstr("Once upon")));
}

TEST(CliData, WithoutATokenizerATokenIsAByte) {
  const test::TempDir dir;
  write(dir.file("a.txt"), stories(1));
  const Outcome made = belay("data prepare --out " + dir.file("s") + " " + dir.file("a.txt"));
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, AllOf(HasSubstr("1.000"), HasSubstr("saved in"),
                              HasSubstr("no document fell there by its hash")));
  const json s = base::json_value(belay("data show --json " + dir.file("s")).out);
  EXPECT_EQ(s["tokenizer"]["vocab_size"], 256);
  EXPECT_TRUE(s["tokenizer"]["end_of_text"].is_null());
}

TEST(CliData, ValidationFilesMayBeSeveral) {
  const test::TempDir dir;
  for (const char* name : {"a", "b", "c"}) write(dir.file(name), name + stories(2));
  const Outcome made =
      belay("data prepare --json --out " + dir.file("s") + " --valid-file " + dir.file("a") +
            " --valid-file " + dir.file("b") + " " + dir.file("c"));
  ASSERT_EQ(made.code, 0) << made.err;
  const json m = base::json_value(made.out);
  EXPECT_EQ(m["valid"]["documents"], 3);  // the second document of b is that of a
  EXPECT_EQ(m["train"]["documents"], 1);
}

/// Without the choices that came later, a dataset has the bytes that it always had: the seal of
/// dataset.json, which holds the checksums of the shards, was printed by the program before them.
TEST(CliData, WithoutChoicesTheBytesAreThoseOfEarlierPrograms) {
  const test::TempDir dir;
  write(dir.file("a.txt"), stories(300) + stories(2) + " \n<|endoftext|>\nthe end");
  write(dir.file("b.jsonl"), "{\"text\": \"The cat \xE7\x8C\xAB slept.\"}\n\n{\"text\": \"\"}\n");
  write(dir.file("book.txt"), "one line\nanother line\nthe last line\n");
  const std::string prepare = "cd " + dir.path() + " && " + test::belay_program() +
                              " data prepare --out s >/dev/null 2>&1 ";
  ASSERT_EQ(test::shell(prepare + "--tokenizer " + kTokenizer + " a.txt b.jsonl"), 0);
  EXPECT_THAT(test::read(dir.file("s/dataset.json")), HasSubstr("\"xxh3\":\"f5bbea5948706ec6\"}"));
  ASSERT_EQ(test::shell(prepare + "book.txt"), 0);
  EXPECT_THAT(test::read(dir.file("s/dataset.json")), HasSubstr("\"xxh3\":\"f78485995cdbdec1\"}"));
}

TEST(CliData, ChoicesAreShown) {
  const test::TempDir dir;
  const std::string line = "It was the best of times, and it was the worst of times: number ";
  std::string text;
  for (int i = 0; i < 60; ++i) text += line + std::to_string(i) + "\n<|endoftext|>\n";
  write(dir.file("web.txt"), text);
  write(dir.file("books.txt"), stories(40) + "short");
  const std::string made_of = dir.file("web.txt") + " " + dir.file("books.txt");
  const std::string choices =
      " --valid-fraction 0 --near-duplicates 0.8 --filter min-words=3,max-bullets" +
      std::string(" --weight web.txt=0.6 --weight books.txt=0.4 --dropped ") +
      dir.file("dropped.jsonl");
  const Outcome made = belay("data prepare --out " + dir.file("s") + choices + " " + made_of);
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_THAT(made.out, AllOf(HasSubstr("near-duplicates (likeness from 0.8 on)"),
                              HasSubstr("1 by min-words 3"), HasSubstr("mixture"),
                              HasSubstr("web.txt"), HasSubstr("unique training tokens")));
  EXPECT_THAT(made.err, HasSubstr("Muennighoff"));  // one document for three fifths of the tokens
  EXPECT_THAT(test::read(dir.file("dropped.jsonl")), HasSubstr("\"reason\":\"min-words\""));
  const Outcome shown = belay("data show " + dir.file("s"));
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("near-duplicates (likeness from 0.8 on)"), HasSubstr("which is like"),
                    HasSubstr("1 by min-words 3"), HasSubstr("unique training tokens")));
  const json s = base::json_value(belay("data show --json " + dir.file("s")).out);
  EXPECT_GT(s["dropped"]["near_duplicates"]["documents"].get<int>(), 50);
  EXPECT_EQ(s["dropped"]["filters"][0]["documents"], 1);
  EXPECT_EQ(s["mixture"].size(), 2u);
  EXPECT_LT(s["train"]["unique_tokens"].get<int>(), s["train"]["tokens"].get<int>());
}

struct Bad {
  std::string args;
  int code;
  std::string message;
};

TEST(CliData, RefusesWithOneError) {
  const test::TempDir dir;
  write(dir.file("good.txt"), stories(3));
  write(dir.file("latin.txt"),
        "Stra\xDF"
        "e");
  write(dir.file("x.parquet"), "PAR1");
  std::filesystem::create_directory(dir.file("model"));
  write(dir.file("model/config.json"), "{}");
  const std::string good = dir.file("good.txt"), out = " --out " + dir.file("s") + " ";
  const Bad table[] = {
      {"data", 2, "belay data needs to know what to do"},
      {"data prepair", 2, "did you mean prepare?"},
      {"data prepare --out s", 2, "text"},
      {"data prepare " + good, 2, "--out"},
      {"data prepare --tokeniser x" + out + good, 2, "did you mean --tokenizer?"},
      {"data prepare --valid-fraction 2" + out + good, 2, "--valid-fraction: is out of range"},
      {"data prepare --threads -1" + out + good, 2, "--threads: is out of range"},
      {"data prepare --tokenizer none" + out + good, 1, "none"},
      {"data prepare" + out + dir.file("none.txt"), 1, "none.txt: does not exist"},
      {"data prepare" + out + dir.file("latin.txt"), 1, "latin.txt: byte 4: is not UTF-8"},
      {"data prepare" + out + dir.file("x.parquet"), 1, "is Parquet"},
      {"data prepare --out " + dir.file("model") + " " + good, 2, "belong to no dataset"},
      {"data prepare --near-duplicates 2" + out + good, 2, "--near-duplicates: is out of range"},
      {"data prepare --quality c4" + out + good, 2, "--quality: is not known"},
      {"data prepare --filter max-bulets" + out + good, 2, "did you mean max-bullets?"},
      {"data prepare --weight bad=1" + out + good, 2, "good.txt: has no weight"},
      {"data show " + dir.file("none"), 1, "does not exist"},
      {"data show " + dir.file("model"), 1, "is no prepared dataset"},
      {"data show " + good, 1, "belay data prepare"},
      {"data show " + dir.file("model") + " --split test", 2, "allowed train, valid"},
      {"data show " + dir.file("model") + " --samples -1", 2, "--samples"},
  };
  for (const Bad& bad : table) {
    const Outcome seen = belay(bad.args);
    EXPECT_EQ(seen.code, bad.code) << bad.args << "\n" << seen.err;
    EXPECT_THAT(seen.err, AllOf(StartsWith("error: "), HasSubstr(bad.message))) << bad.args;
    EXPECT_EQ(std::count(seen.err.begin(), seen.err.end(), '\n'), 1) << seen.err;
  }
  EXPECT_FALSE(std::filesystem::exists(dir.file("s")));
}

void kill_and_look(const std::string& options) {
  const test::TempDir dir;
  const std::string out = dir.file("s") + options;
  write(dir.file("a.txt"), stories(100000));  // 6 MB: half a second
  for (const char* seconds : {"0.05", "0.2", "0.4"}) {
    test::shell("timeout -s KILL " + std::string(seconds) + " " + test::belay_program() +
                " data prepare --out " + out + " " + dir.file("a.txt") + " >/dev/null 2>&1");
    const Outcome shown = belay("data show --json " + dir.file("s"));
    if (shown.code != 0) {
      EXPECT_THAT(shown.err, ::testing::AnyOf(HasSubstr("is no prepared dataset"),
                                              HasSubstr("does not exist")));
    }
  }
  ASSERT_EQ(belay("data prepare --out " + out + " " + dir.file("a.txt")).code, 0);
  EXPECT_EQ(belay("data show " + dir.file("s")).code, 0);
  for (const auto& entry : std::filesystem::directory_iterator(dir.file("s"))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST(CliData, KilledItLeavesNoHalfDataset) {
  kill_and_look("");
  kill_and_look(" --near-duplicates 0.95 --filter min-words=3,max-bullets --weight '*=1'");
}

}  // namespace
}  // namespace belay
