// belay pretrain --fork: the bits of a run from nothing, also after a kill; and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "run_belay.h"
#include "train/schedule.h"

namespace belay {
namespace {

using test::belay;
using test::Outcome;
using test::read;
using test::weights_of;
using ::testing::HasSubstr;

const std::string kForkRun =
    "pretrain --depth 2 --width 96 --context 32 --batch-tokens 256 --seed 5 --dtype f32 "
    "--schedule wsd --data " BELAY_TEST_DATA "/shakespeare_200k.txt ";

TEST(DecayBegin, IsTheFirstStepThatKnowsTheEnd) {
  train::Schedule s{.lr = 1, .warmup_steps = 3, .curve = train::Curve::kWsd, .decay_share = 0.2};
  for (const std::int64_t steps : {1, 2, 7, 100, 333, 1000, 12345}) {
    const std::int64_t begin = train::decay_begin(s, steps);
    EXPECT_NEAR(static_cast<double>(begin), 0.8 * static_cast<double>(steps), 1.5);
    const auto rate = [&](std::int64_t step, std::int64_t of) {
      return train::learning_rate(s, step, static_cast<double>(step) / static_cast<double>(of));
    };
    for (std::int64_t step = 0; step < begin; ++step) {
      ASSERT_EQ(rate(step, steps), rate(step, 10 * steps)) << step << " of " << steps;
    }
    if (begin < steps && begin >= 3) {
      EXPECT_LT(rate(begin, steps), rate(begin, 10 * steps));
    }
  }
  s.curve = train::Curve::kLinear;
  EXPECT_EQ(train::decay_begin(s, 100), 0);
}

TEST(CliFork, HasTheBitsOfARunFromNothing) {
  const test::TempDir dir;
  const std::string a = dir.file("a"), b = dir.file("b"), c = dir.file("c"), d = dir.file("d");
  ASSERT_EQ(belay(kForkRun + "--steps 60 --keep-fork --out " + a).code, 0);
  ASSERT_EQ(belay(kForkRun + "--steps 90 --threads 1 --out " + b).code, 0);
  const Outcome forked =
      belay(kForkRun + "--steps 90 --threads 2 --keep-fork --fork " + a + " --out " + c);
  ASSERT_EQ(forked.code, 0) << forked.err;
  EXPECT_THAT(forked.err, HasSubstr("from step 48"));
  EXPECT_EQ(weights_of(c), weights_of(b));
  const nlohmann::json manifest = base::json_value(read(c + "/run.json"));
  EXPECT_EQ(manifest["forked"]["step"], 48);
  EXPECT_EQ(manifest["steps"], 90);
  EXPECT_EQ(manifest["tokens"], 90 * 256);
  // A fork of a fork, killed before its first checkpoint: the resume forks again.
  ASSERT_EQ(belay(kForkRun + "--steps 120 --out " + b + " --overwrite").code, 0);
  test::shell(
      test::belay_program() + " " + kForkRun + "--steps 120 --checkpoint-seconds 0 --fork " + c +
      " --out " + d + " >/dev/null 2>&1 & pid=$!; for i in $(seq 2000); do " + "if [ -e " + d +
      "/run.json ]; then break; fi; sleep 0.005; done; " + "kill -9 $pid; wait $pid 2>/dev/null");
  const Outcome resumed = belay("pretrain --resume " + d);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(weights_of(d), weights_of(b));
}

TEST(CliFork, RefusesWhatWouldNotBeTheSameRun) {
  const test::TempDir dir;
  const std::string a = dir.file("a"), b = dir.file("b");
  ASSERT_EQ(belay(kForkRun + "--steps 20 --keep-fork --out " + a).code, 0);
  ASSERT_EQ(belay(kForkRun + "--steps 20 --out " + b).code, 0);
  const auto refused = [&](const std::string& args, int code, const std::string& words) {
    const Outcome run = belay(kForkRun + args + " --out " + dir.file("c"));
    EXPECT_EQ(run.code, code) << args;
    EXPECT_THAT(run.err, HasSubstr(words)) << args;
  };
  refused("--steps 18 --fork " + a, 2, "--steps 18: is too short");
  refused("--steps 40 --lr 1e-3 --fork " + a, 1, "'lr'");
  refused("--steps 40 --width 64 --fork " + a, 1, "'width'");
  refused("--steps 40 --fork " + b, 1, "keeps no state from before its decay");
  refused("--steps 40 --fork " + dir.file("none"), 1, "keeps no state from before its decay");
  refused("--max-seconds 1 --fork " + a, 2, "needs --steps");
  refused("--steps 40 --schedule linear --fork " + a, 2, "needs --schedule wsd");
  refused("--steps 40 --schedule linear --keep-fork", 2, "--keep-fork: needs");
}

TEST(CliSweep, TrainsAGridAndGoesOn) {
  const test::TempDir dir;
  const std::string command =
      "sweep --grid muon-lr=0.005,0.02 --depth 1 --context 32 --batch-tokens 256 --steps 12 "
      "--data " BELAY_TEST_DATA "/shakespeare_200k.txt --json --out " +
      dir.file("s");
  const Outcome first = belay(command);
  ASSERT_EQ(first.code, 0) << first.err;
  const nlohmann::json result = base::json_value(first.out);
  ASSERT_EQ(result["rows"].size(), 2u);
  EXPECT_EQ(result["rows"][0]["point"]["muon-lr"], "0.02");
  EXPECT_LT(result["rows"][0]["val_loss"], result["rows"][1]["val_loss"]);
  const std::string log = read(dir.file("s/muon-lr-0.02_seed-1/metrics.jsonl"));
  EXPECT_EQ(base::json_value(belay(command).out), result);
  EXPECT_EQ(read(dir.file("s/muon-lr-0.02_seed-1/metrics.jsonl")), log);
  EXPECT_THAT(belay("sweep --grid muon-lr=1 --depth 2 --steps 12 --data " BELAY_TEST_DATA
                    "/shakespeare_200k.txt --out " +
                    dir.file("t") + " --grid nothing=1")
                  .err,
              HasSubstr("--nothing=1"));
}

}  // namespace
}  // namespace belay
