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
using ::testing::AllOf;
using testing::belay;
using ::testing::HasSubstr;
using testing::Outcome;
using ::testing::StartsWith;
using testing::write;

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
  const testing::TempDir dir;
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
  const testing::TempDir dir;
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
  const testing::TempDir dir;
  for (const char* name : {"a", "b", "c"}) write(dir.file(name), name + stories(2));
  const Outcome made =
      belay("data prepare --json --out " + dir.file("s") + " --valid-file " + dir.file("a") +
            " --valid-file " + dir.file("b") + " " + dir.file("c"));
  ASSERT_EQ(made.code, 0) << made.err;
  const json m = base::json_value(made.out);
  EXPECT_EQ(m["valid"]["documents"], 3);  // the second document of b is that of a
  EXPECT_EQ(m["train"]["documents"], 1);
}

struct Bad {
  std::string args;
  int code;
  std::string message;
};

TEST(CliData, RefusesWithOneError) {
  const testing::TempDir dir;
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

TEST(CliData, KilledItLeavesNoHalfDataset) {
  const testing::TempDir dir;
  const std::string out = dir.file("s");
  write(dir.file("a.txt"), stories(100000));  // 6 MB: half a second
  for (const char* seconds : {"0.05", "0.2", "0.4"}) {
    testing::shell("timeout -s KILL " + std::string(seconds) + " " + testing::belay_program() +
                   " data prepare --out " + out + " " + dir.file("a.txt") + " >/dev/null 2>&1");
    const Outcome shown = belay("data show --json " + out);
    if (shown.code != 0) {
      EXPECT_THAT(shown.err, ::testing::AnyOf(HasSubstr("is no prepared dataset"),
                                              HasSubstr("does not exist")));
    }
  }
  ASSERT_EQ(belay("data prepare --out " + out + " " + dir.file("a.txt")).code, 0);
  EXPECT_EQ(belay("data show " + out).code, 0);
  for (const auto& entry : std::filesystem::directory_iterator(out)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

}  // namespace
}  // namespace belay
