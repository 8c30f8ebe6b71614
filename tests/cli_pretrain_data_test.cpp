// belay pretrain on token shards: along the way, to the end, and from its own model on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "run_belay.h"

namespace belay {
namespace {

using nlohmann::json;
using test::belay;
using test::Outcome;
using test::read;
using ::testing::HasSubstr;

std::vector<json> metrics_of(const std::string& run) {
  std::vector<json> lines;
  std::istringstream text(read(run + "/metrics.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(base::json_value(line));
  return lines;
}

class CliPretrainData : public ::testing::Test {
 protected:
  void SetUp() override {
    const Outcome made = belay("data prepare --tokenizer " BELAY_TEST_DATA "/stories260K --out " +
                               dir_.file("shards") + " " BELAY_TEST_DATA "/shakespeare_200k.txt");
    ASSERT_EQ(made.code, 0) << made.err;
  }
  Outcome pretrain(const std::string& args) {
    return belay("pretrain --context 32 --batch-tokens 512 --seed 2 --data " + dir_.file("shards") +
                 " " + args);
  }
  test::TempDir dir_;
};

TEST_F(CliPretrainData, ValidatesAndSamplesAlongTheWay) {
  const std::string run = dir_.file("run");
  const Outcome seen = pretrain(
      "--depth 1 --steps 60 --eval-steps 20 --eval-tokens 2000 --schedule "
      "wsd --z-loss 1e-4 --out " +
      run);
  ASSERT_EQ(seen.code, 0) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("the model goes on"));
  std::vector<std::int64_t> validated, sampled;
  double before = 1e9;
  for (const json& line : metrics_of(run)) {
    if (line.contains("val_bpb")) {
      validated.push_back(line["step"]);
      EXPECT_LT(line["val_loss"].get<double>(), before);
      before = line["val_loss"];
    }
    if (!line.contains("sample")) continue;
    sampled.push_back(line["step"]);
    EXPECT_FALSE(line["prompt"].get<std::string>().empty());
    EXPECT_FALSE(line["sample"].get<std::string>().empty());
  }
  EXPECT_EQ(validated, (std::vector<std::int64_t>{20, 40, 60}));
  EXPECT_EQ(sampled, (std::vector<std::int64_t>{20, 40}));
  const json manifest = base::json_value(read(run + "/run.json"));
  EXPECT_EQ(manifest["data"]["vocab_size"], 512);
  EXPECT_GT(manifest["measured"]["tokens_per_second"].get<double>(), 0);
  EXPECT_EQ(manifest["plan"]["parameters"], manifest["model"]["parameters"]);
  // Nats of a token, bits of a byte: the same text.
  const json& valid = manifest["data"]["valid"];
  const double tokens = valid["tokens"].get<double>() - valid["documents"].get<double>();
  EXPECT_NEAR(manifest["val_bpb"].get<double>() * valid["bytes"].get<double>(),
              manifest["val_loss"].get<double>() * tokens / std::log(2), 2.0 * std::log2(512));
  EXPECT_TRUE(std::filesystem::exists(run + "/model/tokenizer.json"));
}

TEST_F(CliPretrainData, AttentionBeginsAsAskedFor) {
  const auto first_loss = [&](const std::string& name, const std::string& options) {
    const std::string run = dir_.file(name);
    const Outcome seen = pretrain("--depth 2 --steps 1 --out " + run + " " + options);
    EXPECT_EQ(seen.code, 0) << seen.err;
    return metrics_of(run).front()["loss"].get<double>();
  };
  const double usual = first_loss("usual", "");
  EXPECT_EQ(usual, first_loss("induction", "--init-attention induction"));
  EXPECT_NE(usual, first_loss("random", "--init-attention random"));
  EXPECT_EQ(first_loss("llama", "--family llama"),
            first_loss("llama_random", "--family llama --init-attention random"));

  const auto refused = [&](const std::string& options, const std::string& message) {
    const Outcome outcome = pretrain("--steps 1 --out " + dir_.file("no") + " " + options);
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  refused("--family llama --init-attention induction", "needs the norms of queries and keys");
  refused("--init-attention none", "--init-attention");
}

TEST_F(CliPretrainData, GoesOnFromAModel) {
  const std::string first = dir_.file("first"), second = dir_.file("second");
  ASSERT_EQ(pretrain("--depth 1 --steps 60 --out " + first).code, 0);
  const Outcome seen = pretrain("--steps 20 --lr 1e-3 --warmup 5 --checkpoint-steps 5 --from " +
                                first + "/model --out " + second);
  ASSERT_EQ(seen.code, 0) << seen.err;
  const auto before = metrics_of(first), after = metrics_of(second);
  EXPECT_NEAR(before.front()["loss"].get<double>(), std::log(512), 0.1);
  EXPECT_LT(after.front()["loss"].get<double>(), 5.5);
  EXPECT_LT(after.back()["val_loss"].get<double>(), before.back()["val_loss"].get<double>());
  EXPECT_EQ(belay("pretrain --resume " + second).code, 0);

  const auto refused = [&](const std::string& args, int code, const std::string& message) {
    const Outcome outcome =
        belay("pretrain --steps 2 --out " + dir_.file("no") + " --from " + args);
    EXPECT_EQ(outcome.code, code);
    EXPECT_THAT(outcome.err, HasSubstr(message));
  };
  refused(first + "/model --depth 2", 2, "--depth: does not go with --from");
  refused(first + "/model --init-attention random", 2, "--init-attention: does not go with --from");
  refused(first + "/model --context 32", 1, "has another tokenizer than the data");
  refused(first + "/model --context 64 --data " + dir_.file("shards"), 1, "has fewer positions");
  refused(dir_.file("none"), 1, "none");
}

}  // namespace
}  // namespace belay
