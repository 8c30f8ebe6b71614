// The parts of pretraining below the program: schedule, batches, validation, the loop.
#include "train/pretrain.h"
#include "fault_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/env_wrapper.h"
#include "model/score.h"
#include "train/dial.h"
#include "train/plan.h"
#include "train/validation.h"

namespace belay {
namespace {

using tensor::DType;
using test::SmallMachine;
using ::testing::HasSubstr;

const std::string kText = [] {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "It was the best of times, " + std::to_string(i * i) + ". ";
  return text;
}();

TEST(Schedule, RisesThenFallsToZero) {
  const train::Schedule s{.lr = 2, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 0, 0), 0.5);
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 3, 0), 2);
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 100, 0.25), 1.5);
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 100, 1), 0);
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 100, 1.5), 0);
  EXPECT_DOUBLE_EQ(train::learning_rate({.lr = 2, .warmup_steps = 0}, 0, 0), 2);
}

TEST(Schedule, CosineAndWarmupStableDecayEndAtTheFloor) {
  train::Schedule s{.lr = 2, .curve = train::Curve::kCosine, .floor = 0.1};
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 0, 0), 2);
  EXPECT_NEAR(train::learning_rate(s, 0, 0.5), 1.1, 1e-12);
  EXPECT_NEAR(train::learning_rate(s, 0, 1), 0.2, 1e-12);
  s.curve = train::Curve::kWsd;
  s.decay_share = 0.25;
  EXPECT_DOUBLE_EQ(train::learning_rate(s, 0, 0.75), 2);
  EXPECT_NEAR(train::learning_rate(s, 0, 0.875), 1.1, 1e-12);
  EXPECT_NEAR(train::learning_rate(s, 0, 1), 0.2, 1e-12);
  for (const char* name : {"linear", "cosine", "wsd"}) {
    EXPECT_EQ(train::curve_name(*train::parse_curve(name)), name);
  }
  EXPECT_FALSE(train::parse_curve("steps"));
}

TEST(ConfigOfDepth, HoldsItsRatios) {
  const model::ModelConfig c = train::config_of_depth(4, 256, 128);
  EXPECT_TRUE(model::validate(c, "").ok());
  EXPECT_EQ(c.hidden_size, 256);
  EXPECT_EQ(c.ffn_size, 704);  // 8/3 of 256 is 682.7
  EXPECT_EQ(c.n_heads, 4);
  EXPECT_EQ(c.max_position, 128);
  EXPECT_EQ(c.rope_theta, 32);
  // Heads of one size whatever the width: half a head is not worth half.
  const model::ModelConfig odd = train::config_of_depth(4, 256, 4096, 96);
  EXPECT_TRUE(model::validate(odd, "").ok());
  EXPECT_EQ(odd.head_dim, 64);
  EXPECT_EQ(odd.n_heads, 2);
  EXPECT_EQ(odd.rope_theta, 1024);
}

TEST(Dial, FollowsTheParametersAndSaysWhereItExtrapolates) {
  const train::Dial small = train::dial(200'000, 256, true),
                    large = train::dial(20'000'000, 256, true);
  EXPECT_EQ(small.tokens, 8 * 200'000);
  EXPECT_GT(small.muon_lr, large.muon_lr);
  EXPECT_FALSE(small.extrapolated);
  EXPECT_TRUE(large.extrapolated);
  // A batch is whole rows, and a larger one takes larger steps.
  EXPECT_EQ(train::dial(200'000, 300, true).batch_tokens % 300, 0);
  EXPECT_EQ(train::dial(200'000, 4096, true).batch_tokens, 4096);
  EXPECT_GT(train::dial(200'000, 256, true, 4096).muon_lr, small.muon_lr);
  EXPECT_EQ(train::dial_vocab(1e6), 1024);
  EXPECT_EQ(train::dial_vocab(5e6), 2048);
  EXPECT_EQ(train::dial_vocab(1e12), 32768);
}

struct Tiny {
  base::ThreadPool pool{2};
  base::Context ctx{pool};
  model::Model model{train::config_of_depth(1, 256, 16), DType::kF32, true, 16};
  data::Dataset set = data::Dataset::of_bytes({kText}, {}, "best.txt");
  data::Batches batches{set.train(), 16, 7};
  std::atomic<bool> stop{false};
  train::LoopState state;

  Tiny() { model.initialize(ctx, 1); }
  base::Result<train::Ending> run(
      const train::PretrainOptions& options,
      const std::function<base::Status(const train::StepInfo&)>& on_step) {
    train::Optimizer optimizer(model, options.optimizer);
    return train::pretrain(ctx, base::Env::posix(), model, optimizer, {set, batches}, options,
                           state, stop, on_step);
  }
};

const train::PretrainOptions kFewSteps{.batch_tokens = 128,
                                       .micro_tokens = 32,
                                       .steps = 12,
                                       .schedule = {.lr = 1e-2, .warmup_steps = 2}};

TEST(Plan, RefusesAStateThatDoesNotFitAndNamesTheDepthThatWould) {
  const auto plan = [](std::int64_t available, std::int64_t depth) {
    SmallMachine machine(static_cast<std::uint64_t>(available));
    return train::plan_state(machine, train::config_of_depth(depth, 256, 64), DType::kF32, 64,
                             kFewSteps);
  };
  const auto three = plan(std::int64_t{1} << 40, 3);
  ASSERT_TRUE(three.ok());
  EXPECT_TRUE(plan(three->state_bytes, 3).ok());
  const auto refused = plan(three->state_bytes, 8);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), base::Code::kResource);
  EXPECT_THAT(refused.status().message(), HasSubstr("--depth 3 fits"));
  EXPECT_THAT(plan(1, 8).status().message(), HasSubstr("free memory"));
}

TEST(Plan, RefusesActivationsThatDoNotFitAndNamesTheMicroBatchThatWould) {
  Tiny t;
  train::PretrainOptions options = kFewSteps;
  train::PretrainPlan plan;
  const auto fits = [&](std::int64_t available, std::int64_t micro_tokens) {
    SmallMachine machine(static_cast<std::uint64_t>(available));
    options.micro_tokens = micro_tokens;
    return train::plan_step(t.ctx, machine, t.model, 16, options, plan);
  };
  ASSERT_TRUE(fits(std::int64_t{1} << 40, 32).ok());
  const std::int64_t bytes = plan.step_bytes;
  EXPECT_TRUE(fits(bytes, 32).ok());
  EXPECT_THAT(fits(bytes, 128).message(), HasSubstr("--micro-tokens 32 fits"));
  EXPECT_THAT(fits(1, 128).message(), HasSubstr("smaller --context"));
}

TEST(Validation, CountsEveryTokenOnce) {
  Tiny t;
  for (const auto& [n, overlap] : std::vector<std::pair<std::size_t, std::size_t>>{{0, 0},
                                                                                   {1, 0},
                                                                                   {2, 0},
                                                                                   {15, 0},
                                                                                   {16, 0},
                                                                                   {17, 0},
                                                                                   {24, 0},
                                                                                   {25, 0},
                                                                                   {100, 0},
                                                                                   {16, 1},
                                                                                   {17, 1},
                                                                                   {31, 1},
                                                                                   {32, 1},
                                                                                   {100, 1},
                                                                                   {100, 15}}) {
    const std::string text = kText.substr(5, n);
    const auto set = data::Dataset::of_bytes({kText}, {text, "Or two."}, "text");
    const std::size_t stride = overlap == 0 ? 8 : 16 - overlap;
    const auto seen =
        train::validate(t.ctx, base::Env::posix(), t.model, set,
                        {.context = 16, .overlap = static_cast<std::int64_t>(overlap)});
    ASSERT_TRUE(seen.ok()) << seen.status().message();
    // Byte by byte: the window that first reaches a byte predicts it.
    double nats = 0;
    for (const std::string& document : {text, std::string("Or two.")}) {
      if (!document.empty()) nats += std::log(256);
      for (std::size_t i = 1; i < document.size(); ++i) {
        const std::size_t window = i < 16 ? 0 : ((i - 16) / stride + 1) * stride;
        const std::string piece = document.substr(window, i - window + 1);
        const model::Documents one = {{piece.begin(), piece.end()}};
        const auto p = model::score(t.ctx, base::Env::posix(), t.model, one);
        nats -= static_cast<double>(p->at(0).back());
      }
    }
    EXPECT_EQ(seen->n_tokens, static_cast<std::int64_t>(n) + 7);
    EXPECT_EQ(seen->n_bytes, static_cast<std::int64_t>(n) + 7);
    EXPECT_NEAR(seen->nats, nats, 1e-6) << n;
    EXPECT_NEAR(seen->bits_per_byte(), nats / std::log(2) / static_cast<double>(n + 7), 1e-9);
  }
  const auto set = data::Dataset::of_bytes({kText}, {kText}, "text");
  const auto part =
      train::validate(t.ctx, base::Env::posix(), t.model, set, {.context = 16, .max_tokens = 100});
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->n_tokens, 100);
  EXPECT_EQ(part->n_bytes, 100);
}

TEST(Pretrain, LearnsAndReportsEveryStep) {
  Tiny t;
  std::vector<train::StepInfo> steps;
  train::PretrainOptions options = kFewSteps;
  options.steps = 80;
  const auto result = t.run(options, [&](const train::StepInfo& info) -> base::Status {
    steps.push_back(info);
    return {};
  });
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(*result, train::Ending::kDone);
  EXPECT_EQ(t.state.step, 80);
  EXPECT_EQ(t.state.tokens, 80 * 128);
  ASSERT_EQ(steps.size(), 80u);
  EXPECT_NEAR(steps.front().loss, std::log(256), 0.06);
  EXPECT_LT(steps.back().loss, 2.5);
  EXPECT_DOUBLE_EQ(steps.back().progress, 1);
  EXPECT_DOUBLE_EQ(steps[39].lr, 1e-2 * (1 - 39.0 / 80));
}

TEST(Pretrain, StopsWhenAsked) {
  Tiny t;
  const auto result = t.run(kFewSteps, [&](const train::StepInfo& info) -> base::Status {
    t.stop = info.step == 5;
    return {};
  });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(t.state.step, 5);
  EXPECT_EQ(*result, train::Ending::kStopped);
}

TEST(Pretrain, SkipsWhatIsNotFiniteAndGivesUpAfterThree) {
  Tiny t;
  int skipped = 0;
  const auto result = t.run(kFewSteps, [&](const train::StepInfo& info) -> base::Status {
    if (info.step == 3) {  // from now on every gradient is damaged
      const auto norm = model::find_weight(t.model.table(), model::Role::kFinalNorm);
      t.model.master(static_cast<std::size_t>(norm)).f32()[0] = NAN;
    }
    skipped += info.skipped ? 1 : 0;
    return {};
  });
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(skipped, 3);
  EXPECT_THAT(result.status().message(), HasSubstr("step 6, best.txt, document 1, byte "));
  EXPECT_THAT(result.status().message(), HasSubstr("weight model."));
}

TEST(Pretrain, ASpikeNamesTheRowsOfTheHighestLoss) {
  // A text whose first part is easy and whose end is noise that is met once an epoch.
  std::string text(32 * 128 * 16, 'a');
  for (std::size_t i = 0; i < 64; ++i) {
    text[text.size() / 2 + i] = static_cast<char>(128 + i * 37 % 120);
  }
  Tiny t;
  t.set = data::Dataset::of_bytes({text}, {}, "noise.txt");
  const data::Batches batches(t.set.train(), 16, 7);
  train::Optimizer optimizer(t.model, kFewSteps.optimizer);
  train::PretrainOptions options = kFewSteps;
  options.steps = 512;
  int spikes = 0;
  const auto result =
      train::pretrain(t.ctx, base::Env::posix(), t.model, optimizer, {t.set, batches}, options,
                      t.state, t.stop, [&](const train::StepInfo& info) -> base::Status {
                        EXPECT_GE(info.worst[0].loss, info.worst[1].loss);
                        EXPECT_GE(info.worst[1].loss, info.worst[2].loss);
                        EXPECT_EQ(info.first_row, (info.step - 1) * 8);
                        if (!info.spike) return {};
                        ++spikes;
                        const std::int64_t begin = batches.row_begin(info.worst[0].row);
                        EXPECT_LT(std::abs(begin - static_cast<std::int64_t>(text.size() / 2)), 80);
                        return {};
                      });
  ASSERT_TRUE(result.ok());
  EXPECT_GE(spikes, 1);
  EXPECT_LE(spikes, 5);
}

TEST(Pretrain, MicroBatchesAddUpToTheBatch) {
  Tiny parts, whole;
  train::PretrainOptions options = kFewSteps;
  const auto nothing = [](const train::StepInfo&) { return base::Status(); };
  ASSERT_TRUE(parts.run(options, nothing).ok());
  options.micro_tokens = options.batch_tokens;
  ASSERT_TRUE(whole.run(options, nothing).ok());
  for (std::int64_t i = 0; i < parts.model.n_floats(); ++i) {
    ASSERT_NEAR(parts.model.masters()[i], whole.model.masters()[i], 1e-3) << i;
  }
}

}  // namespace
}  // namespace belay
