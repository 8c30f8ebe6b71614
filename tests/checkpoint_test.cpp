// Checkpoints: what is saved comes back with the same bits; whatever fails or crashes on the way,
// the folder holds the old checkpoints or the new ones; a flipped bit is named.
#include "train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "crash_env.h"
#include "model/hf_folder.h"
#include "run_belay.h"
#include "store/sealed_json.h"
#include "train/dial.h"
#include "train/run_folder.h"

namespace belay {
namespace {

using test::CrashEnv;
using test::read;
using ::testing::HasSubstr;

const train::OptimizerOptions kMuon{.muon = true};

/// A model and an optimizer whose every number follows from the seed.
struct Trained {
  base::ThreadPool pool{1};
  base::Context ctx{pool};
  model::Model model{train::config_of_depth(1, 64, 16), tensor::DType::kF32, true, 16};
  train::Optimizer optimizer{model, kMuon};
  train::LoopState loop;

  explicit Trained(std::int64_t step) {
    model.initialize(ctx, static_cast<std::uint64_t>(step));
    const base::Rng rng(static_cast<std::uint64_t>(step), base::Purpose::kTest);
    std::uint64_t draw = 0;
    for (std::size_t i = 0; i < model.table().size(); ++i) {
      for (float& f : optimizer.first(model, i)) f = rng.uniform(draw++);
      for (float& f : optimizer.second(model, i)) f = rng.uniform(draw++);
    }
    optimizer.set_steps(step);
    loop.step = step;
    loop.tokens = 100 * step;
    loop.seconds = 0.1 * static_cast<double>(step);
    loop.loss = {.mean = 1.0 / 3, .deviation = 1e-7, .n = step};
  }
  /// Every number that a checkpoint holds.
  std::string bits() const {
    std::string all(reinterpret_cast<const char*>(model.masters()),
                    static_cast<std::size_t>(model.n_floats()) * 4);
    for (std::size_t i = 0; i < model.table().size(); ++i) {
      for (const auto part : {optimizer.first(model, i), optimizer.second(model, i)}) {
        all.append(reinterpret_cast<const char*>(part.data()), part.size_bytes());
      }
    }
    return all + std::to_string(optimizer.steps());
  }
  base::Status save(train::Checkpointer& checkpointer) const {
    BELAY_RETURN_IF_ERROR(checkpointer.save(model, optimizer, loop));
    return checkpointer.finish(model);
  }
  base::Status load(base::Env& env, const std::string& folder, const train::Checkpoint& c) {
    loop = c.loop;
    return train::load_checkpoint(ctx, env, folder, c, model, optimizer);
  }
};

const Trained& trained(std::int64_t step) {
  static std::map<std::int64_t, std::unique_ptr<Trained>> all;
  auto& one = all[step];
  if (!one) one = std::make_unique<Trained>(step);
  return *one;
}

train::Checkpointer checkpointer(base::Env& env, const std::string& folder,
                                 std::optional<train::Checkpoint> earlier = std::nullopt) {
  (void)env.create_dirs(folder + "/state");
  return {env, folder, {{"seed", 7}}, std::move(earlier)};
}

TEST(SealedJson, OpensWhatWasSealedAndNothingElse) {
  const std::string text = store::seal_json({{"a", 1.0 / 3}, {"b", "x\"y"}});
  const auto opened = store::open_sealed_json(text, "f.json");
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(*opened->require_double("a", 0, 1), 1.0 / 3);
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto seen = store::open_sealed_json(flipped, "f.json");
    ASSERT_FALSE(seen.ok()) << flipped;
    EXPECT_THAT(seen.status().message(), HasSubstr("f.json"));
  }
  for (std::size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(store::open_sealed_json(text.substr(0, n), "f.json").ok());
  }
}

TEST(Checkpoint, WhatIsSavedComesBackAndTheLastTwoAreKept) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  auto saver = checkpointer(env, dir.path());
  for (const std::int64_t step : {1, 2, 3}) {
    ASSERT_TRUE(trained(step).save(saver).ok());
    EXPECT_EQ(saver.newest_step(), step);
  }
  const auto state = train::read_saved_state(env, dir.path());
  ASSERT_TRUE(state.ok()) << state.status().message();
  EXPECT_EQ(state->run["seed"], 7);
  ASSERT_EQ(state->checkpoints.size(), 2u);
  EXPECT_THAT(*env.list_dir(dir.file("state")),
              ::testing::ElementsAre("checkpoint.json", "step-0000000002.safetensors",
                                     "step-0000000003.safetensors"));
  for (const train::Checkpoint& c : state->checkpoints) {
    Trained other(9);
    ASSERT_TRUE(other.load(env, dir.path(), c).ok());
    EXPECT_EQ(other.bits(), trained(c.loop.step).bits());
    EXPECT_EQ(c.loop.tokens, 100 * c.loop.step);
    EXPECT_EQ(c.loop.seconds, 0.1 * static_cast<double>(c.loop.step));
    EXPECT_EQ(c.loop.loss.mean, 1.0 / 3);
    EXPECT_EQ(c.loop.loss.deviation, 1e-7);
  }
  const auto published = model::load_hf_folder(env, dir.file("model"));
  ASSERT_TRUE(published.ok()) << published.status().message();
  const tensor::View w = trained(3).model.master(0);
  EXPECT_EQ(std::memcmp(published->weights[0].data(), w.data, published->weights[0].size() * 4), 0);
}

TEST(Checkpoint, AnotherShapeIsRefused) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  auto saver = checkpointer(env, dir.path());
  ASSERT_TRUE(trained(1).save(saver).ok());
  const auto state = train::read_saved_state(env, dir.path());
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  model::Model larger(train::config_of_depth(2, 64, 16), tensor::DType::kF32, true, 16);
  train::Optimizer optimizer(larger, kMuon);
  const auto refused =
      train::load_checkpoint(ctx, env, dir.path(), state->checkpoints[0], larger, optimizer);
  EXPECT_THAT(refused.message(), HasSubstr("step-0000000001.safetensors"));
}

class CheckpointFaults : public ::testing::TestWithParam<std::int64_t> {
 protected:
  /// The folder holds checkpoint `old` (0: none) or `fresh`, each number of it; so does model/.
  void expect_old_or_new(CrashEnv& env, std::int64_t old, std::int64_t fresh, bool saved) {
    const auto state = train::read_saved_state(env, "run");
    if (!state.ok()) {
      ASSERT_EQ(state.status().code(), base::Code::kNotFound) << state.status().message();
      ASSERT_EQ(old, 0);
      ASSERT_FALSE(saved);
    } else {
      const std::int64_t newest = state->checkpoints.front().loop.step;
      ASSERT_TRUE(newest == fresh || (newest == old && !saved)) << newest;
      for (const train::Checkpoint& c : state->checkpoints) {
        Trained loaded(9);
        const auto status = loaded.load(env, "run", c);
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_EQ(loaded.bits(), trained(c.loop.step).bits());
      }
    }
    if (old == 0 && !saved && !env.exists("run/model/config.json")) return;
    const auto published = model::load_hf_folder(env, "run/model");
    ASSERT_TRUE(published.ok()) << published.status().message();
    const auto is_of = [&](std::int64_t step) {
      const tensor::View w = trained(step).model.master(0);
      return std::memcmp(published->weights[0].data(), w.data, published->weights[0].size() * 4) ==
             0;
    };
    ASSERT_TRUE(is_of(fresh) || (old > 0 && !saved && is_of(old)));
  }
};

TEST_P(CheckpointFaults, EveryWriteSyncAndRenameFailsOrCrashesOnce) {
  const std::int64_t old = GetParam(), fresh = old + 1;
  std::int64_t n_changes = 0;
  for (std::int64_t at = 0; at <= n_changes; ++at) {
    for (const auto& [fault, unsynced] :
         {std::pair{CrashEnv::Fault::kFailOnce, CrashEnv::Unsynced::kLost},
          std::pair{CrashEnv::Fault::kStop, CrashEnv::Unsynced::kLost},
          std::pair{CrashEnv::Fault::kStop, CrashEnv::Unsynced::kKept},
          std::pair{CrashEnv::Fault::kStop, CrashEnv::Unsynced::kNamesOnlyKept}}) {
      SCOPED_TRACE(::testing::Message() << "change " << at << ", " << static_cast<int>(fault)
                                        << static_cast<int>(unsynced));
      CrashEnv env;
      (void)env.create_dirs("run/model");
      auto saver = checkpointer(env, "run");
      if (old > 0) {
        ASSERT_TRUE(trained(old).save(saver).ok());
      }
      const std::int64_t before = env.changes;
      env.fault = fault;
      if (n_changes > 0) env.fault_at = before + at;
      const bool saved = trained(fresh).save(saver).ok();
      if (n_changes == 0) n_changes = env.changes - before;
      env.crash(unsynced);
      ASSERT_NO_FATAL_FAILURE(expect_old_or_new(env, old, fresh, saved));
      // The next process goes on, whatever lies there.
      const auto state = train::read_saved_state(env, "run");
      auto folder = train::RunFolder::open(env, "run");
      ASSERT_TRUE(folder.ok()) << folder.status().message();
      auto next = checkpointer(env, "run",
                               state.ok() ? std::optional(state->checkpoints[0]) : std::nullopt);
      const auto status = trained(fresh + 1).save(next);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_NO_FATAL_FAILURE(expect_old_or_new(env, fresh + 1, fresh + 1, true));
    }
  }
  EXPECT_GT(n_changes, 20);
}

INSTANTIATE_TEST_SUITE_P(Old, CheckpointFaults, ::testing::Values(0, 1),
                         [](const auto& old) { return old.param == 0 ? "None" : "One"; });

TEST(Checkpoint, AThousandFlippedBitsAreAThousandNamedErrors) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  auto saver = checkpointer(env, dir.path());
  ASSERT_TRUE(trained(1).save(saver).ok());
  ASSERT_TRUE(trained(2).save(saver).ok());
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::string& name : *env.list_dir(dir.file("state"))) {
    files.emplace_back(name, read(dir.file("state/" + name)));
  }
  ASSERT_EQ(files.size(), 3u);
  const base::Rng rng(1, base::Purpose::kTest);
  Trained reader(9);
  int named_tensors = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    // A third in each file, half of them in its first kilobytes: the manifest, headers and data.
    const auto& [name, good] = files[i % 3];
    const std::uint64_t bits =
        (i % 2 == 0 ? good.size() : std::min<std::size_t>(good.size(), 4096)) * 8;
    const std::uint64_t bit = rng.below(i, bits);
    std::fstream file(dir.file("state/" + name), std::ios::in | std::ios::out | std::ios::binary);
    const auto put = [&](char byte) {
      file.seekp(static_cast<std::streamoff>(bit / 8));
      file.put(byte);
      file.flush();
    };
    put(static_cast<char>(good[bit / 8] ^ (1 << bit % 8)));
    base::Status failed;
    if (const auto state = train::read_saved_state(env, dir.path()); !state.ok()) {
      failed = state.status();
    } else {
      for (const train::Checkpoint& c : state->checkpoints) {
        if (const auto loaded = reader.load(env, dir.path(), c); !loaded.ok()) failed = loaded;
      }
    }
    ASSERT_FALSE(failed.ok()) << name << " bit " << bit;
    ASSERT_THAT(failed.message(), HasSubstr(name));
    named_tensors += failed.message().find(": tensor '") != std::string::npos ? 1 : 0;
    put(good[bit / 8]);
  }
  EXPECT_GT(named_tensors, 300);
}

TEST(RunFolder, OneProcessAtATime) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  {
    const auto first = train::RunFolder::open(env, dir.file("run"));
    ASSERT_TRUE(first.ok()) << first.status().message();
    const auto second = train::RunFolder::open(env, dir.file("run"));
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(second.status().message(), HasSubstr("locked by another process (seen process " +
                                                     std::to_string(env.process_id())));
  }
  EXPECT_TRUE(train::RunFolder::open(env, dir.file("run")).ok());
}

TEST(RunFolder, ClearsWhatARunLeft) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  std::filesystem::create_directories(dir.file("state"));
  std::ofstream(dir.file("state/.checkpoint.json.12-0.tmp")) << "half";
  auto folder = train::RunFolder::open(env, dir.path());
  ASSERT_TRUE(folder.ok());
  EXPECT_FALSE(env.exists(dir.file("state/.checkpoint.json.12-0.tmp")));
  EXPECT_FALSE(folder->holds_a_run());
  auto saver = checkpointer(env, dir.path());
  ASSERT_TRUE(trained(1).save(saver).ok());
  ASSERT_TRUE(folder->write_manifest({{"kind", "pretrain"}}).ok());
  EXPECT_TRUE(folder->holds_a_run());
  ASSERT_TRUE(folder->clear().ok());
  EXPECT_FALSE(folder->holds_a_run());
  EXPECT_FALSE(env.exists(dir.file("run.json")));
  EXPECT_THAT(*env.list_dir(dir.file("state")), ::testing::ElementsAre("lock"));
}

TEST(Metrics, GoOnAfterTheStepThatIsResumed) {
  const test::TempDir dir;
  base::Env& env = base::Env::posix();
  const std::string path = dir.file("metrics.jsonl");
  std::ofstream(path) << "{\"step\":1}\n{\"step\":5,\"val_loss\":2}\n{\"step\":6}\n{\"st";
  train::LoopState from;
  from.step = 5;
  auto metrics = train::Metrics::open(env, path, 2, from);
  ASSERT_TRUE(metrics.ok()) << metrics.status().message();
  ASSERT_TRUE(metrics->add({{"step", 7}}).ok());
  ASSERT_TRUE(metrics->flush().ok());
  EXPECT_EQ(read(path), "{\"step\":1}\n{\"step\":5,\"val_loss\":2}\n{\"step\":7}\n");
}

TEST(Metrics, LinesThatCouldNotBeWrittenComeLater) {
  const test::TempDir dir;
  CrashEnv env;
  auto metrics = train::Metrics::open(env, "m", 1, {});
  ASSERT_TRUE(metrics.ok());
  env.fault_at = env.changes;
  EXPECT_FALSE(metrics->add({{"step", 1}}).ok());
  EXPECT_TRUE(metrics->flush().ok());
  EXPECT_THAT(*env.read_file("m", 100), ::testing::EndsWith("\n{\"step\":1}\n"));
}

TEST(LossTrend, ASpikeIsFarAboveAndDoesNotHideTheNext) {
  train::LossTrend trend;
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(trend.update(3 + (i % 2 == 0 ? 0.02 : -0.02)));
  EXPECT_NEAR(trend.mean, 3, 0.01);
  EXPECT_NEAR(trend.deviation, 0.02, 0.005);
  EXPECT_FALSE(trend.update(3.2));
  EXPECT_TRUE(trend.update(4));
  EXPECT_TRUE(trend.update(4));
  EXPECT_FALSE(trend.update(3));
  train::LossTrend young;
  for (const double loss : {5.5, 9.0, 4.0}) EXPECT_FALSE(young.update(loss));
  EXPECT_NEAR(young.mean, (5.5 + 9 + 4) / 3, 1e-12);
}

}  // namespace
}  // namespace belay
