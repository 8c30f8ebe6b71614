// belay tokenizer as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "run_belay.h"
#include "tokenizer_data.h"

namespace belay {
namespace {

using nlohmann::json;
using test::read_all;
using ::testing::HasSubstr;

const std::string kEncodedText = std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt";

class CliTokenizer : public ::testing::Test {
 protected:
  /// Runs `belay tokenizer ARGS`; its output is then in out_ and err_.
  int run(const std::string& args) {
    const test::Outcome outcome = test::belay("tokenizer " + args);
    out_ = outcome.out;
    err_ = outcome.err;
    return outcome.code;
  }
  std::string tok() const { return dir_.file("tok"); }
  int train(const std::string& args) { return run("train --out " + tok() + " " + args); }

  test::TempDir dir_;
  std::string out_, err_;
};

TEST_F(CliTokenizer, TrainsOnLinesOfJsonAndPackedFiles) {
  const std::string text = read_all(kEncodedText).substr(0, 20000);
  const auto file = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(dir_.file(name), std::ios::binary) << bytes;
    return dir_.file(name);
  };
  ASSERT_EQ(train("--vocab-size 400 --json " + file("a.txt", text)), 0) << err_;
  const json plain = base::json_value(out_);
  // As one line of JSON, packed; a folder holds it and a file that is no text.
  std::filesystem::create_directory(dir_.file("folder"));
  const std::string lines = file("folder/a.jsonl", json{{"body", text}}.dump() + "\n\n");
  ASSERT_EQ(std::system(("gzip " + lines).c_str()), 0);
  file("folder/b.bin", std::string(64, '\0'));
  ASSERT_EQ(train("--vocab-size 400 --field body --json " + dir_.file("folder")), 0) << err_;
  const json packed = base::json_value(out_);
  EXPECT_EQ(packed["fingerprint"], plain["fingerprint"]);
  EXPECT_EQ(packed["text_bytes"], text.size());
  EXPECT_THAT(err_, HasSubstr("b.bin: is binary"));
  EXPECT_EQ(train("--vocab-size 400 " + dir_.file("folder")), 1);
  EXPECT_THAT(err_, HasSubstr("a.jsonl.gz:1"));  // has no field "text"
}

TEST_F(CliTokenizer, TrainsEncodesAndDecodes) {
  ASSERT_EQ(train("--vocab-size 600 --json " + kEncodedText), 0) << err_;
  const json report = base::json_value(out_);
  EXPECT_EQ(report["vocab_size"], 600);
  EXPECT_EQ(report["text_bytes"], 200000);
  const std::string ids = dir_.file("ids.json");
  ASSERT_EQ(run("encode --tokenizer " + tok() + " " + kEncodedText + " --json"), 0) << err_;
  const json encoded = base::json_value(out_);
  EXPECT_EQ(encoded["ids"].size(), encoded["n_tokens"].get<std::size_t>());
  EXPECT_GT(encoded["bytes_per_token"].get<double>(), 2.0);
  ASSERT_EQ(run("encode --tokenizer " + tok() + " " + kEncodedText + " --out " + ids), 0) << err_;
  EXPECT_EQ(base::json_value(read_all(ids)), encoded["ids"]);
  ASSERT_EQ(run("decode --tokenizer " + tok() + " " + ids), 0) << err_;
  EXPECT_EQ(out_, read_all(kEncodedText));
  ASSERT_EQ(run("show " + tok() + " --text 'the king<|endoftext|>' --json"), 0) << err_;
  const json shown = base::json_value(out_);
  EXPECT_EQ(shown["end_of_text"], 599);
  EXPECT_EQ(shown["tokens"].back()["id"], 599);
  EXPECT_EQ(shown["fingerprint"], report["fingerprint"]);
  EXPECT_EQ(run("show " + tok()), 0);
}

TEST_F(CliTokenizer, ReadsFoldersAndNamesBadFiles) {
  const std::string folder = dir_.file("texts");
  std::filesystem::create_directories(folder + "/below");
  std::ofstream(folder + "/below/a.txt") << read_all(kEncodedText);
  ASSERT_EQ(train("--vocab-size 300 " + folder), 0) << err_;
  std::ofstream(folder + "/b.txt") << "good \xff bad";
  EXPECT_EQ(train("--vocab-size 300 " + folder), 1);
  EXPECT_THAT(err_, HasSubstr("b.txt: byte 5: is not UTF-8"));
  EXPECT_EQ(train("--vocab-size 300 " + dir_.file("none")), 1);
  std::ofstream(dir_.file("empty.txt"));
  EXPECT_EQ(train("--vocab-size 300 " + dir_.file("empty.txt")), 1);
  EXPECT_THAT(err_, HasSubstr("is empty"));
}

TEST_F(CliTokenizer, RefusesWithTheRightCode) {
  std::ofstream(dir_.file("small.txt")) << "to be or not to be";
  EXPECT_EQ(train("--vocab-size 4096 " + dir_.file("small.txt")), 2);
  EXPECT_THAT(err_, HasSubstr("larger than the corpus supports"));
  EXPECT_FALSE(std::filesystem::exists(tok()));
  EXPECT_EQ(train("--vocab-size 100 " + kEncodedText), 2);
  EXPECT_EQ(train("--vocab-size 300 --split gpt3 " + kEncodedText), 2);
  EXPECT_THAT(err_, HasSubstr("cl100k"));
  EXPECT_EQ(run("encode --tokenizer " + tok() + " " + kEncodedText), 1);
  EXPECT_EQ(run("encode --tokenizer " + tok()), 2);
  EXPECT_EQ(run("trian"), 2);
}

}  // namespace
}  // namespace belay
