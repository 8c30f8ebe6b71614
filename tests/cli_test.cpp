// The real program: what it prints, what it refuses and with which exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>

#include "base/hash.h"
#include "base/json.h"
#include "run_belay.h"
#include "test_data.h"

namespace belay {
namespace {

using nlohmann::json;
using test::belay;
using test::kStories;
using test::Outcome;
using test::read;
using test::write;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Cli, VersionNamesTheInstructionSetAndIsQuick) {
  const Outcome text = belay("--version");
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out,
              AllOf(StartsWith("belay "), HasSubstr("instruction set"), HasSubstr("zstd")));
  const Outcome document = belay("--version --json");
  const json j = base::json_value(document.out);
  EXPECT_EQ(j["isas"].back(), j["isa"]);
  EXPECT_GE(j["threads"].get<int>(), 1);
  EXPECT_TRUE(j["libraries"].contains("fmt"));
}

TEST(Cli, HelpOfEveryVerbHasExamples) {
  const Outcome top = belay("--help");
  EXPECT_EQ(top.code, 0);
  for (const std::string verb : {"tokenizer", "data", "plan", "pretrain", "sample", "chat", "score",
                                 "forecast", "runs", "bench"}) {
    EXPECT_THAT(top.out, HasSubstr(verb));
    const Outcome help = belay(verb + " --help");
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("Examples:\n  belay " + verb));
  }
  EXPECT_EQ(belay("").code, 2);
}

struct BadCommand {
  std::string name, args;
  int code;
  std::string message;
  friend void PrintTo(const BadCommand& bad, std::ostream* out) { *out << "belay " << bad.args; }
};

class CliRefuses : public ::testing::TestWithParam<BadCommand> {
 protected:
  /// DIR and STORIES in the arguments stand for folders; the files that the table names lie in DIR.
  std::string fill(std::string text) const {
    for (const auto& [name, value] :
         {std::pair<std::string, std::string>{"DIR", dir_.path()}, {"STORIES", kStories}}) {
      for (std::size_t at; (at = text.find(name)) != std::string::npos;) {
        text.replace(at, name.size(), value);
      }
    }
    return text;
  }
  void SetUp() override {
    const std::vector<std::pair<std::string, std::string>> files = {
        {"good.json", "[1, 403, 407]"},      {"far.json", "[1, 403, 512]"},
        {"broken.json", "[1, 403,"},         {"short.txt", "too short"},
        {"unknown_key.toml", "detph = 4\n"}, {"broken.toml", "depth = \n"},
        {"table.toml", "[depth]\nx = 1\n"}};
    for (const auto& [name, text] : files) write(dir_.file(name), text);
    copy_model("unknown_family", [](json& config) {
      config["architectures"] = {"GPT2LMHeadModel"};
      config["model_type"] = "gpt2";
    });
    copy_model("nan", [](json&) {});
    damage_weights(dir_.file("nan") + "/model.safetensors");
  }

 private:
  template <class Change>
  void copy_model(const std::string& name, Change change) const {
    std::filesystem::create_directory(dir_.file(name));
    json config = base::json_value(read(kStories + "/config.json"));
    change(config);
    write(dir_.file(name) + "/config.json", config.dump());
    write(dir_.file(name) + "/model.safetensors", read(kStories + "/model.safetensors"));
  }
  /// The last float of the file becomes a NaN.
  static void damage_weights(const std::string& path) {
    std::string bytes = read(path);
    bytes.replace(bytes.size() - 4, 4, std::string("\x00\x00\xC0\x7F", 4));
    write(path, bytes);
  }

  test::TempDir dir_;
};

TEST_P(CliRefuses, WithOneErrorAndTheExitCode) {
  const Outcome seen = belay(fill(GetParam().args));
  EXPECT_EQ(seen.code, GetParam().code) << seen.err;
  EXPECT_THAT(seen.err, AllOf(StartsWith("error: "), HasSubstr(GetParam().message)));
  EXPECT_EQ(std::count(seen.err.begin(), seen.err.end(), '\n'), 1) << seen.err;
  EXPECT_EQ(seen.out, "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, CliRefuses,
    ::testing::Values(
        BadCommand{"verb", "scroe STORIES", 2, "unknown verb 'scroe'; did you mean score?"},
        BadCommand{"verb_far", "xyzzy", 2, "unknown verb 'xyzzy'; see belay --help"},
        BadCommand{"verb_below", "bench trian", 2, "unknown verb 'trian'; did you mean train?"},
        BadCommand{"option", "pretrain --dept 4", 2,
                   "unknown option '--dept'; did you mean --depth?"},
        BadCommand{"option_value", "pretrain --dept=4", 2, "did you mean --depth?"},
        BadCommand{"option_far", "pretrain --zzz", 2,
                   "unknown option '--zzz'; see belay pretrain --help"},
        BadCommand{"option_prefix", "pretrain --batch 4", 2, "did you mean --batch-tokens?"},
        BadCommand{"option_top", "--verison", 2, "did you mean --version?"},
        BadCommand{"option_control", "pretrain \"$(printf '\\055\\055\\033[2J')\"", 2,
                   "unknown option '--\\x1b[2J'"},
        BadCommand{"extra", "score STORIES more --ids DIR/good.json", 2,
                   "unexpected argument 'more'"},
        BadCommand{"not_a_number", "pretrain --depth four", 2, "--depth"},
        BadCommand{"no_value", "pretrain --depth", 2, "--depth"},
        BadCommand{"no_model", "score", 2, "model"},
        BadCommand{"no_ids", "score STORIES", 2, "use --file TEXT, or --ids FILE.json"},
        BadCommand{"dtype", "score STORIES --ids DIR/good.json --dtype f16", 2,
                   "--dtype: is not known (seen 'f16'; allowed auto, f32, bf16)"},
        BadCommand{"isa", "score STORIES --ids DIR/good.json --isa sse", 2, "--isa: is not known"},
        BadCommand{"threads", "pretrain --threads -1", 2, "--threads: is out of range"},
        BadCommand{"missing_ids", "score STORIES --ids DIR/none.json", 1, "none.json"},
        BadCommand{"broken_ids", "score STORIES --ids DIR/broken.json", 1, "is not valid JSON"},
        BadCommand{"id_out_of_range", "score STORIES --ids DIR/far.json", 1,
                   "far.json[2]: is out of range (seen 512; allowed 0 to 511)"},
        BadCommand{"missing_model", "score DIR/none --ids DIR/good.json", 1, "does not exist"},
        BadCommand{"family", "score DIR/unknown_family --ids DIR/good.json", 1, "GPT2LMHeadModel"},
        BadCommand{"nan", "score DIR/nan --ids DIR/good.json", 1, "nan"},
        BadCommand{"piece", "score STORIES --ids DIR/good.json --piece -1", 2, "--piece"},
        BadCommand{"kv_bits_sample", "sample STORIES --kv-bits 4", 2,
                   "--kv-bits: is out of range (seen 4; allowed 0, 8)"},
        BadCommand{"kv_bits_chat", "chat STORIES --kv-bits 16", 2, "--kv-bits: is out of range"},
        BadCommand{"kv_bits_score", "score STORIES --ids DIR/good.json --kv-bits 1", 2,
                   "--kv-bits"},
        BadCommand{"kv_bits_decode", "bench decode --shape m --kv-bits 7", 2, "--kv-bits"},
        BadCommand{"optimizer", "pretrain --optimizer sgd", 2, "allowed adamw, muon"},
        BadCommand{"depth", "pretrain --depth 0", 2,
                   "--depth: is out of range (seen 0; allowed 1 to 128)"},
        BadCommand{"batch", "pretrain --batch-tokens 1000", 2, "is not a multiple of --context"},
        BadCommand{"short", "pretrain --data DIR/short.txt", 1, "is shorter than one batch"},
        BadCommand{"missing_data", "pretrain --data DIR/none.txt", 1, "none.txt"},
        BadCommand{"out_under_a_file", "pretrain --steps 1 --out DIR/short.txt/run", 1,
                   "short.txt"},
        BadCommand{"config_key", "pretrain --config DIR/unknown_key.toml", 2,
                   "unknown_key.toml:1: unknown key 'detph'; did you mean --depth?"},
        BadCommand{"config_broken", "pretrain --config DIR/broken.toml", 1, "is not valid TOML"},
        BadCommand{"config_table", "pretrain --config DIR/table.toml", 2, "has no plain value"},
        BadCommand{"config_missing", "pretrain --config DIR/none.toml", 1, "none.toml"}),
    [](const auto& bad) { return bad.param.name; });

TEST(CliScore, JsonOfOneDocumentAndOfSeveral) {
  const test::TempDir dir;
  write(dir.file("one.json"), "[1, 403, 407, 261, 378]");
  const Outcome one =
      belay("score " + kStories + " --ids " + dir.file("one.json") + " --dtype f32 --json");
  ASSERT_EQ(one.code, 0) << one.err;
  const json j = base::json_value(one.out);
  EXPECT_EQ(j["tokens"], json({1, 403, 407, 261, 378}));
  EXPECT_TRUE(j["logprobs"][0].is_null());
  EXPECT_NEAR(j["logprobs"][1].get<double>(), -0.243743429, 1e-4);
  EXPECT_EQ(j["n_tokens"], 5);
  EXPECT_EQ(j["dtype"], "f32");
  double nats = 0;
  for (int t = 1; t < 5; ++t) nats -= j["logprobs"][static_cast<std::size_t>(t)].get<double>();
  EXPECT_NEAR(j["nats_per_token"].get<double>(), nats / 4, 1e-6);

  write(dir.file("two.json"), "[[1, 403, 407, 261, 378], [7]]");
  const Outcome two = belay("score " + kStories + " --ids " + dir.file("two.json") +
                            " --dtype f32 --piece 2 --json");
  const json d = base::json_value(two.out)["documents"];
  EXPECT_EQ(d[0]["logprobs"], j["logprobs"]);
  EXPECT_TRUE(d[1]["nats_per_token"].is_null());
  const Outcome text = belay("score " + kStories + " --ids " + dir.file("one.json"));
  EXPECT_THAT(text.out, HasSubstr("nats per token"));
}

/// A short run of a tiny model; what it prints.
Outcome pretrain(const std::string& out, const std::string& more) {
  return belay(
      "pretrain --depth 1 --context 32 --batch-tokens 256 --micro-tokens 128 --seed 5 --data " +
      std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt --out " + out + " " + more);
}

TEST(CliPretrain, SameSeedSameWeightsForAnyThreads) {
  const test::TempDir dir;
  for (const std::string optimizer : {"adamw", "muon"}) {
    std::vector<std::uint64_t> sums;
    for (const int threads : {1, 2, 3}) {
      const std::string out = dir.file(optimizer + std::to_string(threads));
      const Outcome run = pretrain(
          out, "--steps 6 --optimizer " + optimizer + " --threads " + std::to_string(threads));
      ASSERT_EQ(run.code, 0) << run.err;
      const std::string weights = read(out + "/model/model.safetensors");
      sums.push_back(base::xxh3_64(std::as_bytes(std::span(weights))));
    }
    EXPECT_EQ(sums[0], sums[1]);
    EXPECT_EQ(sums[0], sums[2]);
  }
}

TEST(CliPretrain, LeavesAModelAManifestAndMetrics) {
  const test::TempDir dir;
  const std::string out = dir.file("run");
  write(dir.file("run.toml"), "steps = 40\nlr = 0.01\noptimizer = \"adamw\"\nwarmup = 2\n");
  const Outcome run = pretrain(out, "--config " + dir.file("run.toml") + " --steps 30 --json");
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("parameters"), HasSubstr("FLOPs a token"), HasSubstr("memory")));
  const json manifest = base::json_value(read(out + "/run.json"));
  EXPECT_EQ(base::json_value(run.out), manifest);
  EXPECT_EQ(manifest["status"], "done");
  EXPECT_EQ(manifest["steps"], 30);  // flags win over the file
  EXPECT_EQ(manifest["options"]["optimizer"], "adamw");
  EXPECT_LT(manifest["val_bpb"].get<double>(), 6);
  EXPECT_GT(manifest["bigram_bpb"].get<double>(), 3);
  std::istringstream lines(read(out + "/metrics.jsonl"));
  std::string first, line;
  std::getline(lines, first);
  for (std::string next; std::getline(lines, next);) line = next;
  EXPECT_NEAR(base::json_value(first)["loss"].get<double>(), std::log(256), 0.06);
  for (const char* name : {"step", "tokens", "flops", "seconds", "lr", "grad_norm"}) {
    EXPECT_TRUE(base::json_value(first).contains(name)) << name;
  }
  EXPECT_EQ(base::json_value(line)["val_bpb"], manifest["val_bpb"]);
  write(dir.file("ids.json"), "[73, 116, 32]");
  EXPECT_EQ(belay("score " + out + "/model --ids " + dir.file("ids.json")).code, 0);
}

TEST(CliPretrain, StopsByTheClockAndPrintsASample) {
  const test::TempDir dir;
  const Outcome run = pretrain(dir.file("run"), "--max-seconds 0.3");
  ASSERT_EQ(run.code, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("this model"), HasSubstr("bigram"),
                             HasSubstr("the model goes on"), Not(HasSubstr("xz"))));
}

TEST(CliPretrain, DivergenceIsAnErrorNamingTheStep) {
  const test::TempDir dir;
  const Outcome run = pretrain(dir.file("run"),
                               "--steps 60 --optimizer adamw --lr 100 --warmup 0 "
                               "--weight-decay 100 --dtype f32");
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("not finite"), HasSubstr("--lr")));
  EXPECT_EQ(base::json_value(read(dir.file("run/run.json")))["status"], "failed");
}

TEST(CliPretrain, AnInterruptSavesAndEndsWell) {
  const test::TempDir dir;
  const std::string out = dir.file("run");
  // --foreground: else a second signal goes to the whole group, and the second one kills.
  const std::string command =
      "timeout --foreground --preserve-status -s INT 1 " + test::belay_program() +
      " pretrain --depth 1 --context 32 --max-seconds 600 --data " +
      BELAY_TEST_DATA "/shakespeare_200k.txt --out " + out + " >/dev/null 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(base::json_value(read(out + "/run.json"))["status"], "interrupted");
  EXPECT_TRUE(std::filesystem::exists(out + "/model/model.safetensors"));
}

}  // namespace
}  // namespace belay
