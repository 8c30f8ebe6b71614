// belay pretrain --resume, as the program does it: after kills, after Ctrl-C, with other options,
// in a folder that another process has open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "run_belay.h"

namespace belay {
namespace {

using nlohmann::json;
using test::belay;
using test::Outcome;
using test::read;
using test::shell;
using test::weights_of;
using test::write;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kResumeRun =
    "pretrain --depth 1 --context 32 --batch-tokens 256 --seed 5 --dtype f32 "
    "--data " BELAY_TEST_DATA "/shakespeare_200k.txt --steps 240 --checkpoint-steps 20 ";

/// What a run ends in that nothing disturbs.
std::uint64_t undisturbed() {
  static const std::uint64_t sum = [] {
    const test::TempDir dir;
    const Outcome run = belay(kResumeRun + "--threads 1 --out " + dir.file("run"));
    EXPECT_EQ(run.code, 0) << run.err;
    return weights_of(dir.file("run"));
  }();
  return sum;
}

/// Starts `belay ARGS`, waits for a checkpoint other than the one that is there, and kills it.
void kill_after_checkpoint(const std::string& args, const std::string& run) {
  const std::string state = run + "/state/checkpoint.json";
  shell("before=$(cat " + state + " 2>/dev/null); " + test::belay_program() + " " + args +
        " >/dev/null 2>&1 & pid=$!; for i in $(seq 2000); do if [ -e " + state +
        " ] && [ \"$(cat " + state +
        ")\" != \"$before\" ]; then break; fi; sleep 0.005; done; "
        "kill -9 $pid; wait $pid 2>/dev/null");
}

std::int64_t newest_step(const std::string& run) {
  return base::json_value(read(run + "/state/checkpoint.json"))["checkpoints"][0]["step"];
}

TEST(CliResume, ThreeKillsEndInTheSameBits) {
  const test::TempDir dir;
  const std::string run = dir.file("run");
  kill_after_checkpoint(kResumeRun + "--threads 2 --out " + run, run);
  for (const int threads : {1, 2}) {
    ASSERT_LT(newest_step(run), 240);
    kill_after_checkpoint("pretrain --resume " + run + " --threads " + std::to_string(threads),
                          run);
  }
  ASSERT_GE(newest_step(run), 60);
  ASSERT_EQ(base::json_value(read(run + "/run.json"))["status"], "running");
  const Outcome last = belay("pretrain --resume " + run);
  ASSERT_EQ(last.code, 0) << last.err;
  EXPECT_EQ(weights_of(run), undisturbed());
  const json manifest = base::json_value(read(run + "/run.json"));
  EXPECT_EQ(manifest["status"], "done");
  EXPECT_EQ(manifest["steps"], 240);
  EXPECT_EQ(manifest["resumed"].size(), 3u);
  // Each step is in metrics.jsonl once, in order.
  std::istringstream lines(read(run + "/metrics.jsonl"));
  std::int64_t step = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::int64_t next = base::json_value(line)["step"];
    EXPECT_GE(next, step);
    step = next;
  }
  EXPECT_EQ(step, 240);
  const Outcome again = belay("pretrain --resume " + run);
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.err, HasSubstr("is done"));
}

TEST(CliResume, AfterCtrlCWithTheCommandThatItPrints) {
  const test::TempDir dir;
  const std::string run = dir.file("run");
  shell(
      test::belay_program() + " " + kResumeRun + "--steps 4000 --out " + run + " >" +
      dir.file("out") + " 2>&1 & pid=$!; for i in $(seq 2000); do [ -e " + run +
      "/state/checkpoint.json ] && break; sleep 0.005; done; kill -INT $pid; wait $pid; echo $? >" +
      dir.file("code"));
  EXPECT_EQ(read(dir.file("code")), "0\n");
  EXPECT_THAT(read(dir.file("out")), HasSubstr("belay pretrain --resume " + run));
  EXPECT_EQ(base::json_value(read(run + "/run.json"))["status"], "interrupted");
  EXPECT_EQ(base::json_value(read(run + "/run.json"))["steps"], newest_step(run));
  EXPECT_TRUE(std::filesystem::exists(run + "/model/config.json"));
}

TEST(CliResume, RefusesWhatWouldNotBeTheSameRun) {
  const test::TempDir dir;
  const std::string run = dir.file("run");
  write(dir.file("other.txt"), read(BELAY_TEST_DATA "/shakespeare_200k.txt") + " More.");
  // Cut off by the clock, so that there is something to resume.
  ASSERT_EQ(belay(kResumeRun + "--steps 100000 --max-seconds 0.2 --out " + run).code, 0);
  ASSERT_EQ(base::json_value(read(run + "/run.json"))["status"], "interrupted");
  const std::string before = read(run + "/state/checkpoint.json");
  const auto refused = [&](const std::string& more, int code, const std::string& message) {
    const Outcome seen = belay("pretrain --resume " + run + " " + more);
    EXPECT_EQ(seen.code, code) << more;
    EXPECT_THAT(seen.err, HasSubstr(message)) << more;
    EXPECT_EQ(read(run + "/state/checkpoint.json"), before);
  };
  refused("--lr 0.5", 2, "--lr: differs from the run that is resumed (seen '0.5'");
  refused("--depth 2", 2, "--depth: differs");
  refused("--steps 99", 2, "--steps: differs");
  refused("--data " + dir.file("other.txt"), 1, "is not that of the data that the run has learned");
  const json good = base::json_value(read(run + "/run.json"));
  json edited = good;
  edited["options"]["lr"] = "0.5";
  write(run + "/run.json", edited.dump());
  refused("", 1, "options 'lr': is not what its checkpoints were computed with (seen '0.5'");
  edited = good;
  edited["options"]["lrr"] = "0.5";
  write(run + "/run.json", edited.dump());
  refused("", 1, "options.lrr: is an option that this version lacks");
  write(run + "/run.json", "{");
  refused("", 1, "run.json");
  write(run + "/run.json", good.dump());
  // A step more, however long the first one took.
  const double seconds = base::json_value(before)["checkpoints"][0]["seconds"];
  const std::string more = std::to_string(seconds + 0.2);
  EXPECT_EQ(belay("pretrain --resume " + run + " --max-seconds " + more).code, 0);
  EXPECT_NE(read(run + "/state/checkpoint.json"), before);
  EXPECT_EQ(belay("pretrain --resume " + dir.file("none")).code, 1);
}

TEST(CliResume, ADamagedCheckpointIsNamedAndTheOneBeforeIsUsed) {
  const test::TempDir dir;
  const std::string run = dir.file("run");
  kill_after_checkpoint(kResumeRun + "--threads 2 --out " + run, run);
  kill_after_checkpoint("pretrain --resume " + run, run);
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(run + "/state")) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  ASSERT_GE(files.size(), 2u);
  std::string bytes = read(files[1]);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write(files[1], bytes);
  const Outcome resumed = belay("pretrain --resume " + run);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, AllOf(HasSubstr("does not match its checksum"), HasSubstr(": tensor '"),
                                 HasSubstr("going on from the checkpoint before")));
  EXPECT_EQ(weights_of(run), undisturbed());
}

TEST(CliResume, OneProcessAtATimeAndNoRunIsReplacedUnasked) {
  const test::TempDir dir;
  const std::string run = dir.file("run");
  shell(test::belay_program() + " " + kResumeRun + "--steps 100000 --out " + run +
        " >/dev/null 2>&1 & pid=$!; for i in $(seq 2000); do [ -e " + run +
        "/state/checkpoint.json ] && break; sleep 0.005; done; " + test::belay_program() +
        " pretrain --resume " + run + " 2>" + dir.file("second") + "; " + test::belay_program() +
        " " + kResumeRun + "--overwrite --out " + run + " 2>" + dir.file("third") +
        "; kill -9 $pid; wait $pid");
  EXPECT_THAT(read(dir.file("second")), HasSubstr("is locked by another process (seen process "));
  EXPECT_THAT(read(dir.file("third")), HasSubstr("is locked by another process"));
  const Outcome refused = belay(kResumeRun + "--out " + run);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("holds a run already"), HasSubstr("--resume " + run)));
  EXPECT_EQ(belay(kResumeRun + "--steps 2 --overwrite --out " + run).code, 0);
  EXPECT_EQ(newest_step(run), 2);
}

}  // namespace
}  // namespace belay
