// belay score --file, sample and runs, as a user types them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fault_env.h"
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

json oracle() { return base::json_value(read(kStories + "/stories260K_oracle.json")); }

TEST(CliScoreFile, TheTokenizersIdsAndTheLogProbabilitiesOfTheOracle) {
  const test::TempDir dir;
  const json o = oracle();
  write(dir.file("story.txt"), "Once upon a time");
  const Outcome run =
      belay("score " + kStories + " --file " + dir.file("story.txt") + " --dtype f32 --json");
  ASSERT_EQ(run.code, 0) << run.err;
  const json j = base::json_value(run.out);
  EXPECT_EQ(j["tokens"], json({1, 403, 407, 261, 378}));
  EXPECT_TRUE(j["logprobs"][0].is_null());
  double nats = 0;
  for (std::size_t t = 1; t < 5; ++t) {
    nats -= j["logprobs"][t].get<double>();
    EXPECT_NEAR(-j["logprobs"][t].get<double>(), o["prompt_nll"][t - 1].get<double>(), 1e-4);
  }
  EXPECT_NEAR(j["nats_per_token"].get<double>(), nats / 4, 1e-9);
  EXPECT_NEAR(j["bits_per_byte"].get<double>(), nats / std::log(2.0) / j["n_bytes"].get<double>(),
              1e-9);
  // The same ids give the same bits.
  write(dir.file("ids.json"), j["tokens"].dump());
  const Outcome ids =
      belay("score " + kStories + " --ids " + dir.file("ids.json") + " --dtype f32 --json");
  EXPECT_EQ(base::json_value(ids.out)["logprobs"], j["logprobs"]);
}

TEST(CliExport, AFileThatReadsAndContinuesAsTheFolderDoes) {
  const test::TempDir dir;
  const std::string gguf = dir.file("m.gguf"), folder = dir.file("hf");
  const Outcome run = belay("export " + kStories + " --to gguf --out " + gguf + " --json");
  ASSERT_EQ(run.code, 0) << run.err;
  const json j = base::json_value(run.out);
  EXPECT_EQ(j["largest_weight_difference"], 0.0);
  EXPECT_EQ(j["mean_kl"], 0.0);
  EXPECT_EQ(j["greedy_same"], 32);
  EXPECT_EQ(j["greedy_ids"].size(), 32u);
  const std::string options = " --prompt \"Once upon\" --temperature 0 --max-tokens 20 --dtype f32";
  const Outcome told = belay("sample " + kStories + options);
  EXPECT_THAT(told.out, StartsWith("Once upon a time"));
  EXPECT_EQ(belay("sample " + gguf + options).out, told.out);
  const Outcome back =
      belay("export " + gguf + " --to hf --out " + folder + " --dtype bf16 --threads 1");
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_THAT(back.out, HasSubstr("largest difference of a weight"));
  EXPECT_EQ(belay("sample " + folder + options).code, 0);
  const auto error_of = [&](const std::string& rest) {
    const Outcome o = belay("export " + kStories + rest);
    EXPECT_EQ(o.code, 2) << rest;
    return o.err;
  };
  EXPECT_THAT(error_of(" --to onnx --out x"), HasSubstr("allowed gguf, hf"));
  EXPECT_THAT(error_of(" --to gguf --out x"), HasSubstr("does not end in .gguf"));
  EXPECT_THAT(error_of(" --to hf --out x --dtype q8_0"), HasSubstr("allowed f32, bf16"));
  EXPECT_THAT(error_of(" --to gguf --out x.gguf --dtype q5_k"), HasSubstr("q8_0, q4_0"));
}

TEST(CliScoreFile, KeysAndValuesOf8BitsInPiecesOfAnyLength) {
  const test::TempDir dir;
  write(dir.file("a.txt"), "Once upon a time there was a little dog. One day, it saw a big cat.");
  const std::string ask = "score " + kStories + " --file " + dir.file("a.txt") + " --json";
  const json as_is = base::json_value(belay(ask).out);
  const json bytes = base::json_value(belay(ask + " --kv-bits 8").out);
  EXPECT_FALSE(as_is.contains("kv_bits"));
  EXPECT_EQ(bytes["kv_bits"], 8);
  EXPECT_NE(bytes["logprobs"], as_is["logprobs"]);
  EXPECT_NEAR(bytes["nats_per_token"].get<double>(), as_is["nats_per_token"].get<double>(), 0.05);
  EXPECT_EQ(base::json_value(belay(ask + " --kv-bits 8 --piece 5").out), bytes);
}

TEST(CliScoreFile, RefusesWhatIsNoText) {
  const test::TempDir dir;
  write(dir.file("empty.txt"), "");
  write(dir.file("binary.txt"), std::string("ab\xFF\xFE", 4));
  write(dir.file("cut.txt"), "caf\xC3");
  const auto error_of = [&](const std::string& file) {
    const Outcome run = belay("score " + kStories + " --file " + dir.file(file));
    EXPECT_EQ(run.code, 1);
    EXPECT_EQ(run.out, "");
    return run.err;
  };
  EXPECT_THAT(error_of("empty.txt"), HasSubstr("empty.txt: is empty"));
  EXPECT_THAT(error_of("binary.txt"), HasSubstr("binary.txt: byte 2: is not UTF-8"));
  EXPECT_THAT(error_of("cut.txt"), HasSubstr("cut.txt: byte 3: is not UTF-8"));
  EXPECT_THAT(error_of("none.txt"), HasSubstr("none.txt"));
  const Outcome both = belay("score " + kStories + " --file a --ids b");
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("both given"));
}

TEST(CliSample, TheOraclesGreedyStoryAndTheSameTextForTheSameSeed) {
  const json o = oracle();
  const std::string ask = "sample " + kStories + " --dtype f32 --max-tokens 40 ";
  const Outcome greedy = belay(ask + "--temperature 0 --json");
  ASSERT_EQ(greedy.code, 0) << greedy.err;
  const json j = base::json_value(greedy.out);
  const json ids = o["greedy_ids_from_bos"];
  EXPECT_EQ(j["ids"], json(std::vector<json>(ids.begin() + 1, ids.begin() + 41)));
  EXPECT_THAT(j["text"].get<std::string>(), HasSubstr("Once upon a time"));
  const std::string once = "--prompt 'Once upon' --seed 5 --temperature 0.9 --top-k 40 --top-p 0.9";
  const Outcome a = belay(ask + once), b = belay(ask + once + " --threads 1");
  EXPECT_EQ(a.code, 0) << a.err;
  EXPECT_THAT(a.out, StartsWith("Once upon"));
  EXPECT_EQ(a.out, b.out);
  EXPECT_NE(a.out, belay(ask + "--prompt 'Once upon' --seed 6 --temperature 0.9").out);
  for (const char* bad : {"--temperature -1", "--top-p 0", "--max-tokens 0", "--top-k -1"}) {
    EXPECT_EQ(belay(ask + bad).code, 2) << bad;
  }
}

TEST(CliPlan, SaysWhatARunTakesAndWritesNothing) {
  const test::TempDir dir;
  const std::string ask = "plan --depth 1 --context 32 --batch-tokens 256 --steps 5000 --data " +
                          std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt ";
  const Outcome run = belay("plan --help");
  EXPECT_THAT(run.out, Not(HasSubstr("--resume")));
  const json plan = base::json_value(belay(ask + "--price-per-hour 36 --json").out);
  EXPECT_EQ(plan["steps"], 5000);
  EXPECT_EQ(plan["tokens"], 5000 * 256);
  EXPECT_NEAR(plan["price"].get<double>(), plan["seconds"].get<double>() / 100, 1e-9);
  // The machine's speed, whatever it is: a sanitizer's build beside other work has made 780.
  const double seconds = plan["seconds"].get<double>();
  EXPECT_GT(seconds, 0);
  EXPECT_NEAR(plan["tokens_per_second"].get<double>() * seconds, 5000 * 256, 1e-3);
  EXPECT_GT(plan["memory_bytes"], plan["state_bytes"]);
  EXPECT_THAT(belay(ask).out,
              AllOf(HasSubstr("\nmemory "), HasSubstr("\ntime "), HasSubstr("\ndisk ")));
  EXPECT_EQ(belay(ask + "--price-per-hour -1").code, 2);
  EXPECT_EQ(belay("plan --out x").code, 2);
}

/// Two short runs below DIR/runs.
class CliRuns : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new test::TempDir;
    for (const std::string name : {"a", "b"}) {
      const Outcome run = belay(
          "pretrain --depth 1 --context 32 --batch-tokens 256 --micro-tokens "
          "128 --steps 12 --eval-steps 4 --data " +
          std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt --seed " +
          (name == "a" ? "1" : "2") + " --out " + dir_->file("runs/" + name));
      ASSERT_EQ(run.code, 0) << run.err;
    }
  }
  static void TearDownTestSuite() {
    delete dir_;
    dir_ = nullptr;
  }
  static std::string runs() { return " --runs " + dir_->file("runs"); }
  static test::TempDir* dir_;
};
test::TempDir* CliRuns::dir_ = nullptr;

TEST_F(CliRuns, ListShowAndCompare) {
  const Outcome list = belay("runs list" + runs());
  ASSERT_EQ(list.code, 0) << list.err;
  EXPECT_THAT(list.out, AllOf(HasSubstr("\na "), HasSubstr("\nb "), HasSubstr("val_bpb")));
  EXPECT_TRUE(std::filesystem::exists(dir_->file("runs/index.db")));
  const json all = base::json_value(belay("runs list --json" + runs()).out);
  ASSERT_EQ(all["runs"].size(), 2u);
  EXPECT_EQ(all["runs"][1]["name"], "b");
  EXPECT_EQ(all["runs"][0]["steps"], 12);

  const json shown = base::json_value(belay("runs show " + dir_->file("runs/a/") + " --json").out);
  EXPECT_EQ(shown["status"], "done");
  EXPECT_EQ(shown["manifest"]["seed"], 1);
  EXPECT_THAT(belay("runs show a" + runs()).out, HasSubstr("tokens a second"));

  const json compared = base::json_value(belay("runs compare a b --json" + runs()).out);
  EXPECT_EQ(compared["runs"][0]["differing_options"], json({{"seed", "1"}}));
  EXPECT_EQ(compared["common_tokens"], 12 * 256);
  const Outcome text = belay("runs compare a b" + runs());
  EXPECT_THAT(text.out, AllOf(HasSubstr("--seed"), Not(HasSubstr("--depth"))));
}

TEST_F(CliRuns, CompareComputeAtEqualLoss) {
  const json one = base::json_value(belay("runs compare a b --json" + runs()).out)["compute"];
  EXPECT_EQ(one["measure"], "validation");
  EXPECT_EQ(one["unit"], "nats per token");
  ASSERT_EQ(one["curves"][1]["loss"].size(), 3u);
  EXPECT_EQ(one["against"][0]["final"], one["against"][0]["levels"].back());
  EXPECT_TRUE(one["against"][0]["median"]["low"].is_null()) << "one seed has no interval";
  // Two seeds against themselves, in another order.
  const json same = base::json_value(belay("runs compare a,b b,a --json" + runs()).out)["compute"];
  const json& other = same["against"][0];
  EXPECT_EQ(other["runs"], json({"a", "b"}));
  EXPECT_TRUE(other["paired"]);
  for (const json& level : other["levels"]) EXPECT_EQ(level["multiplier"], 1);
  EXPECT_EQ(other["median"], json({{"multiplier", 1.0}, {"low", 1.0}, {"high", 1.0}}));
  const Outcome text = belay("runs compare a,b b" + runs());
  EXPECT_THAT(text.out, AllOf(HasSubstr("compute at equal validation loss, nats per token"),
                              HasSubstr("FLOPs of a +1"), HasSubstr("times the compute of a +1")));
}

TEST_F(CliRuns, LengthsOfOneSeedAreOneCurveOfTheirEnds) {
  const std::string longer = dir_->file("longer");
  ASSERT_EQ(belay("pretrain --depth 1 --context 32 --batch-tokens 256 --steps 24 --data " +
                  std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt --out " + longer)
                .code,
            0);
  const json compared =
      base::json_value(belay("runs compare " + longer + ",a b --json" + runs()).out);
  ASSERT_EQ(compared["runs"].size(), 2u) << "the longest stands for the lengths";
  EXPECT_EQ(compared["runs"][0]["tokens"], 24 * 256);
  const json& curve = compared["compute"]["curves"][0];
  const auto loss_of = [&](const std::string& folder) {
    return base::json_value(read(folder + "/run.json"))["val_loss"].get<double>();
  };
  EXPECT_EQ(curve["loss"], json({loss_of(dir_->file("runs/a")), loss_of(longer)}));
  EXPECT_EQ(curve["flops"][1].get<double>(), 2 * curve["flops"][0].get<double>());
}

TEST_F(CliRuns, CompareRefusesOtherValidationText) {
  const std::string half = dir_->file("half.txt"), other = dir_->file("other");
  write(half, read(std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt").substr(0, 100000));
  ASSERT_EQ(belay("pretrain --depth 1 --context 32 --batch-tokens 256 --steps 2 --data " + half +
                  " --out " + other)
                .code,
            0);
  const Outcome refused = belay("runs compare a " + other + runs());
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("was validated on other text"));
}

TEST_F(CliRuns, ReportAndRefusals) {
  const Outcome report = belay("runs report a" + runs());
  ASSERT_EQ(report.code, 0) << report.err;
  EXPECT_THAT(read(dir_->file("runs/a/report.html")), HasSubstr("Beside simpler methods"));
  // Written at the end of every run, with the plan.
  EXPECT_THAT(read(dir_->file("runs/b/report.html")), HasSubstr("Plan beside measured"));
  const Outcome none = belay("runs show c" + runs());
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("belay runs list"));
  EXPECT_EQ(belay("runs compare a" + runs()).code, 2);
  EXPECT_EQ(belay("runs").code, 2);
  EXPECT_EQ(belay("runs lst").code, 2);
  EXPECT_EQ(belay("runs list --runs " + dir_->file("none")).code, 1);
}

TEST_F(CliRuns, ARunIsSampledAndScoredByItsFolder) {
  const Outcome sample =
      belay("sample " + dir_->file("runs/a") + " --prompt 'It was' --max-tokens 60 --seed 1");
  ASSERT_EQ(sample.code, 0) << sample.err;
  EXPECT_THAT(sample.out, StartsWith("It was"));
  EXPECT_THAT(sample.err, HasSubstr("60 tokens"));
  write(dir_->file("other.txt"), std::string(100, 'e') + "\xC3\xA9");
  const Outcome score =
      belay("score " + dir_->file("runs/a") + " --file " + dir_->file("other.txt") + " --json");
  ASSERT_EQ(score.code, 0) << score.err;
  const json j = base::json_value(score.out);
  EXPECT_EQ(j["n_tokens"], 102);
  EXPECT_EQ(j["context"], 32);
  // The first byte stands for itself: 8 bits.
  EXPECT_NEAR(j["bits_per_byte"].get<double>(),
              (8 + 101 * j["nats_per_token"].get<double>() / std::log(2.0)) / 102, 1e-9);
}

}  // namespace
}  // namespace belay
