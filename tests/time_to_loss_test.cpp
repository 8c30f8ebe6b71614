// belay bench time-to-loss on a small text: the metric, the rounds, and what is refused. How fast
// it is is no matter of a test.
#include "bench/time_to_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "run_belay.h"

namespace belay::bench {
namespace {

using nlohmann::json;
using test::belay;
using test::Outcome;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kShakespeare = std::string(BELAY_TEST_DATA) + "/shakespeare_200k.txt";

class TimeToLoss : public ::testing::Test {
 protected:
  base::ThreadPool pool_{2};
  base::Context ctx_{pool_};

  static TimeToLossOptions options() {
    TimeToLossOptions o;
    o.corpus = kShakespeare;
    o.recipe.vocab_size = 512;
    o.recipe.width = 32;
    o.recipe.heads = 1;
    o.recipe.ffn = 64;
    o.recipe.context = 32;
    o.recipe.batch_tokens = 256;
    o.recipe.steps = 3;
    return o;
  }
  TimeToLossResult run(const TimeToLossOptions& o) {
    return *time_to_loss(ctx_, base::Env::posix(), o, {.seconds = 0.5, .cpu_seconds = 0.25});
  }
};

TEST_F(TimeToLoss, EveryCharacterOfTheLastTenthCountsOnce) {
  TimeToLossOptions o = options();
  o.target = 100;
  o.recipe.lr = 1e-9;  // the model stays a uniform guess
  const auto n_bytes = static_cast<std::int64_t>(test::read(kShakespeare).size());
  const TimeToLossResult tokens = run(o);
  EXPECT_EQ(tokens.n_characters, n_bytes - n_bytes * 9 / 10);
  EXPECT_LT(2 * tokens.n_valid_tokens, tokens.n_characters * 6 / 5);
  const double guess = std::log(512.0) * static_cast<double>(tokens.n_valid_tokens) /
                       static_cast<double>(tokens.n_characters);
  EXPECT_NEAR(tokens.nats_per_character, guess, 0.01 * guess);
  o.recipe.vocab_size = 256;  // bytes
  const TimeToLossResult bytes = run(o);
  EXPECT_EQ(bytes.n_valid_tokens, bytes.n_characters);
  EXPECT_NEAR(bytes.nats_per_character, std::log(256.0), 0.06);
}

TEST_F(TimeToLoss, CharactersAreCountedNotBytes) {
  // The first words of the Universal Declaration of Human Rights, in two and three bytes a letter.
  std::string text;
  for (int i = 0; i < 400; ++i) text += "Все люди рождаются свободными и равными. 人人生而自由。\n";
  const test::TempDir dir;
  TimeToLossOptions o = options();
  o.corpus = dir.file("text");
  test::write(o.corpus, text);
  o.target = 100;
  o.recipe.vocab_size = 256;
  o.recipe.steps = 1;
  const TimeToLossResult r = run(o);
  EXPECT_EQ(r.n_characters, 400 * 49 / 10);
  EXPECT_GT(r.n_valid_tokens, r.n_characters * 3 / 2);
}

TEST_F(TimeToLoss, AMissedTargetIsTriedAgain) {
  TimeToLossOptions o = options();
  o.target = 2.9;
  const TimeToLossResult r = run(o);
  EXPECT_TRUE(r.reached);
  EXPECT_GT(r.validations, 1);
  EXPECT_EQ(r.steps, 3 + (r.validations - 1));  // a quarter of three, at least one
  EXPECT_EQ(r.tokens, r.steps * 256);
  EXPECT_LE(r.nats_per_character, 2.9);
  EXPECT_GT(r.seconds, 0.5 + r.training + r.validating);
  EXPECT_GT(r.cpu_seconds, 0.25);
  EXPECT_EQ(run(o).nats_per_character, r.nats_per_character) << "the same seed, the same bits";
  o.seed = 2;
  EXPECT_NE(run(o).nats_per_character, r.nats_per_character);
}

/// A small model, of a vocabulary that 180 kB support.
Outcome bench(const std::string& args, const std::string& corpus = kShakespeare) {
  return belay("bench time-to-loss --corpus " + corpus +
               " --vocab-size 512 --heads 1 --ffn 64 --steps 20 " + args);
}

TEST(TimeToLossCli, PrintsWhatItMeasured) {
  const Outcome run = bench("--target 3 --seeds 2 --seed 5 --json");
  ASSERT_EQ(run.code, 0) << run.err;
  const json j = base::json_value(run.out);
  EXPECT_TRUE(j["reached"]);
  EXPECT_EQ(j["seed"], 5);
  EXPECT_EQ(j["recipe"]["ffn"], 64);
  EXPECT_EQ(j["parameters"].get<std::int64_t>() % 16, 0);
  ASSERT_EQ(j["runs"].size(), 2u);
  EXPECT_EQ(j["runs"][1]["seed"], 6);
  double most = 0, sum = 0;
  for (const json& one : j["runs"]) {
    most = std::max(most, one["nats_per_character"].get<double>());
    sum += one["seconds"].get<double>();
  }
  EXPECT_EQ(j["nats_per_character"], most);
  EXPECT_NEAR(j["seconds"].get<double>(), sum / 2, 1e-9);
  const Outcome text = bench("--target 3");
  EXPECT_THAT(text.out, AllOf(HasSubstr("nats/char"), HasSubstr("shakespeare_200k.txt")));
}

TEST(TimeToLossCli, SaysWhenTheTargetIsOutOfReach) {
  const Outcome run = bench("--target 0.1 --max-seconds 0.5 --json");
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.err, AllOf(HasSubstr("0.1 nats a character"), HasSubstr("--max-seconds 0.5")));
  const json j = base::json_value(run.out);
  EXPECT_FALSE(j["reached"]);
  EXPECT_GT(j["nats_per_character"], 1.0);
}

TEST(TimeToLossCli, Refusals) {
  const test::TempDir dir;
  test::write(dir.file("short"), test::read(kShakespeare).substr(0, 600));
  const std::string ask = "bench time-to-loss --corpus " + dir.file("short");
  const Outcome tiny = belay(ask + " --vocab-size 256 --batch-tokens 1024");
  EXPECT_EQ(tiny.code, 1);
  EXPECT_THAT(tiny.err, AllOf(HasSubstr("is shorter than one batch"), HasSubstr("540")));
  EXPECT_THAT(belay(ask).err, HasSubstr("larger than the corpus supports"));
  EXPECT_EQ(bench("", dir.file("none")).code, 1);
  EXPECT_THAT(bench("", dir.file("none")).err, HasSubstr("tinyshakespeare"));
  EXPECT_EQ(bench("--width 33").code, 2);
  EXPECT_EQ(bench("--batch-tokens 100").code, 2);
  EXPECT_EQ(bench("--seeds 0").code, 2);
  EXPECT_EQ(bench("--target 0").code, 2);
  EXPECT_EQ(belay("bench time-to-loss").code, 2);
}

}  // namespace
}  // namespace belay::bench
