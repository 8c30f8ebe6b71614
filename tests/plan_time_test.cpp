// What a run takes in time, disk and money: the calibration changes no weight, and the plan adds
// up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "fault_env.h"
#include "train/dial.h"
#include "train/plan.h"
#include "train/step.h"

namespace belay {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// The posix Env with a clock that moves one second a look.
class TickingEnv : public base::EnvWrapper {
 public:
  TickingEnv() : EnvWrapper(base::Env::posix()) {}
  double steady_seconds() override { return now_ += 1; }
  std::uint64_t peak_rss_bytes() override { return 1000; }

 private:
  double now_ = 0;
};

train::PretrainOptions options_of(std::int64_t batch_tokens, std::int64_t micro_tokens) {
  train::PretrainOptions o;
  o.batch_tokens = batch_tokens;
  o.micro_tokens = micro_tokens;
  o.steps = 100;
  o.optimizer.muon = true;
  return o;
}

void fill_random(train::Step& step, std::int64_t m) {
  const base::Rng rng(1, base::Purpose::kTest, static_cast<std::uint64_t>(m));
  const std::int64_t n_rows = step.batch().n_tokens() / 32;
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i < n_rows * 33; ++i) {
    rows.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(i), 256)));
  }
  step.batch().set_rows(rows, 32);
}

TEST(Calibrate, ChangesNoWeightAndCountsWholeSteps) {
  base::ThreadPool pool(2);
  base::Context ctx{pool};
  const model::ModelConfig config = train::config_of_depth(1, 256, 32);
  model::Model model(config, tensor::DType::kF32, true, 32);
  model.initialize(ctx, 3);
  const std::vector<float> before(model.masters(), model.masters() + model.n_floats());
  TickingEnv env;
  // A look at the clock before each round, after each micro-batch and after the optimizer: a
  // micro-batch and an optimizer step take a second each, by this clock.
  EXPECT_EQ(train::calibrate(ctx, env, model, 32, options_of(256, 64), fill_random, 100), 5);
  EXPECT_EQ(train::calibrate(ctx, env, model, 32, options_of(64, 64), fill_random, 0), 2);
  EXPECT_EQ(std::memcmp(before.data(), model.masters(), before.size() * sizeof(float)), 0);
}

TEST(PlanTime, StepsOrTheClockEndARun) {
  train::PretrainPlan plan;
  plan.flops_per_token = 1e6;
  plan.price_per_hour = 3.6;
  train::PretrainOptions o = options_of(1000, 1000);
  train::plan_time(o, 0.5, plan);
  EXPECT_EQ(plan.tokens_per_second, 2000);
  EXPECT_EQ(plan.steps, 100);
  EXPECT_EQ(plan.seconds, 50);
  EXPECT_EQ(plan.tokens, 1e5);
  EXPECT_EQ(plan.flops(), 1e11);
  EXPECT_DOUBLE_EQ(plan.price(), 0.05);
  o.max_seconds = 10;
  train::plan_time(o, 0.5, plan);
  EXPECT_EQ(plan.seconds, 10);
  EXPECT_EQ(plan.steps, 20);
  o.steps = 0;
  train::plan_time(o, 4, plan);
  EXPECT_EQ(plan.steps, 2);
  EXPECT_EQ(plan.tokens, 2000);
}

TEST(PlanTime, TextAndJsonLeaveOutWhatIsNotKnown) {
  train::PretrainPlan plan;
  plan.state_bytes = 3 << 20;
  plan.step_bytes = 1 << 20;
  EXPECT_THAT(train::cost_text(plan), AllOf(HasSubstr("memory   4.00 MiB"), Not(HasSubstr("time")),
                                            Not(HasSubstr("money"))));
  EXPECT_FALSE(train::plan_json(plan).contains("seconds"));
  plan.price_per_hour = 2;
  train::plan_time(options_of(1000, 1000), 36, plan);
  EXPECT_THAT(train::cost_text(plan), AllOf(HasSubstr("time     1h00m: 100k tokens at 28 a second"),
                                            HasSubstr("money    2.00 at 2.00 an hour")));
  EXPECT_EQ(train::plan_json(plan)["price"], 2);
  EXPECT_EQ(train::plan_json(plan)["memory_bytes"], 4 << 20);
  plan.n_params = 1 << 18;
  plan.saves_on_the_way = true;
  EXPECT_EQ(plan.memory_bytes(), 5 << 20);
}

TEST(PlanTime, MeasuredCountsTheFolder) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir.file("model"));
  std::ofstream(dir.file("a")) << "12345";
  std::ofstream(dir.file("model/b")) << "123";
  TickingEnv env;
  train::PretrainPlan plan;
  plan.flops_per_token = 10;
  const auto measured = train::measured_json(env, dir.path(), plan, 500, 5);
  EXPECT_EQ(measured["disk_bytes"], 8);
  EXPECT_EQ(measured["memory_bytes"], 1000);
  EXPECT_EQ(measured["tokens_per_second"], 100);
  EXPECT_EQ(measured["flops"], 5000);
  EXPECT_FALSE(measured.contains("price"));
  EXPECT_EQ(train::folder_bytes(env, dir.file("none")), 0);
}

}  // namespace
}  // namespace belay
