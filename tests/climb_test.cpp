// Ladders, climbs and sweeps with a trainer that computes losses from a law instead of training:
// what is planned, that a stop at any run and any number of them end in the same forecast, and what
// bad rungs bring.
#include "climb/climb.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "climb/next_rung.h"
#include "climb/sweep.h"
#include "fault_env.h"
#include "store/forecast_register.h"

namespace belay::climb {
namespace {

using base::Result;
using nlohmann::ordered_json;
using test::TempDir;

/// L = 1.8 + 120 / N^0.35 + 260 / D^0.37, with a deviation of 0.1 % that follows from the name.
class LawTrainer : public Trainer {
 public:
  static std::string option(const RunOptions& options, const std::string& name) {
    for (const auto& [key, value] : options) {
      if (key == name) return value;
    }
    return "0";
  }

  Result<RunCost> measure(const RunOptions& options) override {
    const double depth = std::stod(option(options, "depth"));
    const double width = std::stod(option(options, "width"));
    RunCost cost;
    cost.params = 12 * depth * width * width + 1024 * width;
    cost.flops_per_token = 6 * cost.params;
    cost.tokens_per_second = 2e11 / cost.flops_per_token;
    cost.batch_tokens = 2048;
    return cost;
  }

  Result<RunOutcome> train(const RunRequest& request) override {
    asked.push_back(request.folder);
    RunOutcome o;
    if (stop_after >= 0 && stop_after-- == 0) return o;
    BELAY_ASSIGN_OR_RETURN(const RunCost cost, measure(request.options));
    if (!diverges.empty() && request.folder.find(diverges) != std::string::npos) {
      o.ending = RunEnding::kFailed;
      o.error = "the gradients are not finite";
      return o;
    }
    o.ending = RunEnding::kDone;
    o.params = cost.params;
    o.flops_per_token = cost.flops_per_token;
    o.tokens = 2048 * std::stod(option(request.options, "steps"));
    o.own_tokens = o.tokens;
    const double law = 1.8 + 120 / std::pow(o.params, 0.35) + 260 / std::pow(o.tokens, 0.37);
    const std::uint64_t key = std::hash<std::string>{}(base::base_name(request.folder));
    o.val_loss = law * (1 + 0.001 * base::Rng(key, base::Purpose::kTest).normal(0));
    o.val_bpb = o.val_loss / 2;
    o.seconds = o.tokens / cost.tokens_per_second;
    return o;
  }

  std::vector<std::string> asked;
  int stop_after = -1;   // runs before the user stops
  std::string diverges;  // part of the name of a run
};

class Silent : public Listener {
 public:
  void planned(const Ladder&, bool) override {}
  void trained(const Rung&, const RunOutcome&) override {}
  void forecast(const ordered_json&) override {}
  void saved() override {}
};

ClimbOptions options_in(const std::string& folder) {
  ClimbOptions o;
  o.folder = folder;
  o.ladder = {.seconds = 600, .tokens_per_parameter = 8, .valid_tokens = 1e5, .least_steps = 100};
  o.unique_tokens = 5e6;
  o.resamples = 100;
  o.about = {{"data", {{"fingerprint", "0123"}}}, {"options", {{"hours", "0.2"}}}};
  return o;
}

ordered_json climb_in(const std::string& folder, LawTrainer& trainer) {
  base::ThreadPool threads(2);
  Silent silent;
  const auto record = climb(base::Env::posix(), threads, trainer, options_in(folder), silent);
  EXPECT_TRUE(record.ok()) << record.status().message();
  return record.ok() ? *record : ordered_json();
}

TEST(Ladder, FitsTheTimeAndStandsAroundTheOptimum) {
  LawTrainer trainer;
  for (const double seconds : {300.0, 3600.0, 36000.0}) {
    LadderOptions o{.seconds = seconds, .tokens_per_parameter = 8, .valid_tokens = 1e5};
    const auto ladder = plan_ladder(o, [&](Shape s) {
      return trainer.measure(
          {{"depth", std::to_string(s.depth)}, {"width", std::to_string(s.width)}});
    });
    ASSERT_TRUE(ladder.ok());
    EXPECT_NEAR(ladder->seconds, seconds, 1e-6 * seconds);
    double training = ladder->next_flops / 2e11, least = HUGE_VAL, most = 0;
    ASSERT_EQ(ladder->rungs.size(), 16u);
    for (const Rung& rung : ladder->rungs) {
      training += rung.seconds;
      const double row = ladder->next_flops / 4 / std::pow(2, 3 - rung.row);
      EXPECT_NEAR(rung.flops, row, 0.02 * row) << rung.name;
      least = std::min(least, rung.tokens / rung.params);
      most = std::max(most, rung.tokens / rung.params);
    }
    EXPECT_LT(training, seconds);
    EXPECT_GT(training, 0.85 * seconds);  // the rest is validation
    EXPECT_LT(least, 8);
    EXPECT_GT(most, 8);
  }
}

TEST(Ladder, OfSoMuchComputeItIsTheSameOnAnyMachine) {
  LawTrainer trainer;
  std::vector<std::string> names[2];
  for (const double speed : {1.0, 0.1}) {
    const auto ladder = plan_ladder(
        {.flops = 1e14, .n_seeds = 2, .first_seed = 7, .tokens_per_parameter = 8}, [&](Shape s) {
          auto cost = trainer.measure(
              {{"depth", std::to_string(s.depth)}, {"width", std::to_string(s.width)}});
          cost->tokens_per_second *= speed;
          return cost;
        });
    ASSERT_TRUE(ladder.ok());
    EXPECT_NEAR(ladder->flops, 1e14, 1e5);
    double flops = 2 * ladder->next_flops;
    for (const Rung& rung : ladder->rungs) {
      flops += rung.own_flops;
      EXPECT_TRUE(rung.seed == 7 || rung.seed == 8);
      names[speed < 1].push_back(rung.name);
    }
    EXPECT_NEAR(flops, 1e14, 0.01 * 1e14);  // whole steps
  }
  EXPECT_EQ(names[0], names[1]);
}

TEST(Ladder, SaysHowManyHoursWouldDo) {
  LawTrainer trainer;
  LadderOptions o{
      .seconds = 12, .tokens_per_parameter = 8, .valid_tokens = 1e5, .least_steps = 100};
  const auto ladder = plan_ladder(o, [&](Shape s) {
    return trainer.measure(
        {{"depth", std::to_string(s.depth)}, {"width", std::to_string(s.width)}});
  });
  ASSERT_FALSE(ladder.ok());
  EXPECT_EQ(ladder.status().code(), base::Code::kResource);
  EXPECT_NE(ladder.status().message().find("--hours"), std::string::npos);
}

TEST(Ladder, SaysHowMuchComputeWouldDo) {
  LawTrainer trainer;
  const auto plan = [&](double flops) {
    const LadderOptions o{
        .flops = flops, .tokens_per_parameter = 8, .valid_tokens = 1e5, .least_steps = 100};
    return plan_ladder(o, [&](Shape s) {
      return trainer.measure(
          {{"depth", std::to_string(s.depth)}, {"width", std::to_string(s.width)}});
    });
  };
  for (const double flops :
       {1.0, 1e6, 1e9, 1e11}) {  // of some, no size has a run that is long enough
    const auto ladder = plan(flops);
    ASSERT_FALSE(ladder.ok());
    const std::string message = ladder.status().message(), before = "allowed ";
    ASSERT_NE(message.find("--flops"), std::string::npos) << message;
    const std::size_t at = message.find(before);
    ASSERT_NE(at, std::string::npos) << message;
    const double allowed = std::stod(message.substr(at + before.size()));
    EXPECT_TRUE(plan(allowed).ok()) << message;
    EXPECT_FALSE(plan(allowed / 1.2).ok()) << message;
  }
}

TEST(Climb, ForecastsBeforeItTrainsAndScores) {
  const TempDir dir;
  LawTrainer trainer;
  const ordered_json record = climb_in(dir.path(), trainer);
  ASSERT_EQ(record["status"], "done");
  EXPECT_EQ(record["rungs"].size(), 16u);
  const ordered_json& next = record["next"];
  const ordered_json &said = next["forecast"], &law = said["parts"]["law"];
  const ordered_json& rows = said["parts"]["best_of_rows"];
  const double loss = next["outcome"]["val_loss"];
  EXPECT_LT(std::abs(law["median"].get<double>() / loss - 1), 0.005);
  // The best of four rows move by five times the 0.1 % that rungs scatter here: 1.1 % off, and
  // 0.61 with the law's weight.
  EXPECT_LT(std::abs(next["outcome"]["error_percent"].get<double>()), 0.9);
  EXPECT_LT(said["low95"], said["high95"]);
  EXPECT_NEAR(law["weight"].get<double>() + rows["weight"].get<double>(), 1, 1e-12);
  EXPECT_LT(said["high80"].get<double>() - said["low80"].get<double>(),
            law["high80"].get<double>() - law["low80"].get<double>());
  EXPECT_GT(next["outcome"]["crps_no_change"], next["outcome"]["crps"]);
  EXPECT_EQ(trainer.asked.back(), dir.file("rungs/" + next["name"].get<std::string>()));
  const auto all = store::read_register(base::Env::posix(), dir.file("forecasts.jsonl"));
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->forecasts.size(), 1u);
  ASSERT_EQ(all->outcomes.size(), 1u);
  EXPECT_LE(all->forecasts[0].made, all->outcomes[0].time);
  // What is done is not trained again.
  LawTrainer again;
  EXPECT_EQ(climb_in(dir.path(), again), record);
  EXPECT_TRUE(again.asked.empty());
}

TEST(Climb, StopsEndInTheSameForecast) {
  const TempDir whole, stopped;
  LawTrainer trainer;
  const ordered_json expected = climb_in(whole.path(), trainer);
  ordered_json record;
  for (int n = 0; n < 40 && (n == 0 || record["status"] != "done"); ++n) {
    LawTrainer part;
    part.stop_after = n % 3;
    record = climb_in(stopped.path(), part);
  }
  ASSERT_EQ(record["status"], "done");
  for (const char* field : {"plan", "rungs", "fit", "beyond"}) {
    EXPECT_EQ(record[field], expected[field]) << field;
  }
  for (const char* field : {"median", "low80", "high80", "no_change", "straight_line"}) {
    EXPECT_EQ(record["next"]["forecast"][field], expected["next"]["forecast"][field]) << field;
  }
  EXPECT_EQ(record["next"]["outcome"], expected["next"]["outcome"]);
}

TEST(Climb, ADivergedRungIsLeftOutAndSaid) {
  const TempDir dir;
  LawTrainer trainer;
  trainer.diverges = "d4w128";
  base::ThreadPool threads(2);
  Silent silent;
  const auto record = climb(base::Env::posix(), threads, trainer, options_in(dir.path()), silent);
  ASSERT_TRUE(record.ok()) << record.status().message();
  int left_out = 0;
  for (const ordered_json& rung : (*record)["rungs"]) left_out += rung.contains("excluded") ? 1 : 0;
  EXPECT_EQ(left_out, 4);
  EXPECT_EQ((*record)["fit"]["n_points"], 12);
  EXPECT_EQ((*record)["fit"]["excluded"].size(), 4u);
}

TEST(Climb, OtherOptionsOrDataAreNotGoneOnWith) {
  const TempDir dir;
  LawTrainer trainer;
  climb_in(dir.path(), trainer);
  base::ThreadPool threads(1);
  Silent silent;
  ClimbOptions other = options_in(dir.path());
  other.about["data"]["fingerprint"] = "4567";
  const auto record = climb(base::Env::posix(), threads, trainer, other, silent);
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.status().code(), base::Code::kInvalidArgument);
  EXPECT_NE(record.status().message().find("fingerprint"), std::string::npos);
}

TEST(Climb, AFileThatIsNotOursIsAnError) {
  const TempDir dir;
  LawTrainer trainer;
  const ordered_json record = climb_in(dir.path(), trainer);
  base::ThreadPool threads(1);
  Silent silent;
  const auto refused = [&](const ordered_json& changed) {
    const std::string text = changed.dump();
    ASSERT_TRUE(base::write_file_atomic(base::Env::posix(), dir.file("climb.json"), text).ok());
    const auto again = climb(base::Env::posix(), threads, trainer, options_in(dir.path()), silent);
    ASSERT_FALSE(again.ok());
    EXPECT_NE(again.status().message().find("climb.json"), std::string::npos);
  };
  ordered_json changed = record;
  changed["rungs"] = {{{"name", 3}}};
  refused(changed);
  changed = record;
  changed["plan"]["rungs"][0]["steps"] = -1;
  refused(changed);
  refused("no object");
}

TEST(NextRung, DeviationOfSeedsIsOfEqualRungs) {
  ordered_json rungs = ordered_json::array();
  for (const double loss : {3.0, 3.03}) {
    rungs.push_back({{"params", 1e6}, {"tokens", 1e7}, {"val_loss", loss}});
  }
  rungs.push_back({{"params", 2e6}, {"tokens", 1e7}, {"val_loss", 2.5}});
  EXPECT_NEAR(seed_deviation_percent(rungs).get<double>(), 100 * std::log(1.01) / std::sqrt(2),
              1e-9);
  EXPECT_TRUE(seed_deviation_percent(ordered_json::array()).is_null());
}

TEST(Sweep, AGridIsTrainedOnceAndSorted) {
  const TempDir dir;
  LawTrainer trainer;
  const auto wide = parse_axis("--width=64,128,256");
  ASSERT_TRUE(wide.ok());
  SweepOptions o{.folder = dir.path(),
                 .fixed = {{"depth", "2"}, {"steps", "500"}},
                 .axes = {*wide},
                 .seeds = 2};
  std::vector<std::string> told;
  const auto result =
      sweep(base::Env::posix(), trainer, o,
            [&](const std::string& name, const RunOutcome&) { told.push_back(name); });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->n_runs, 6);
  EXPECT_EQ(result->n_left, 0);
  EXPECT_EQ(told.front(), "width-64_seed-1");
  EXPECT_EQ(result->rows.front().point, (RunOptions{{"width", "256"}}));
  EXPECT_LT(result->rows[0].loss(), result->rows[1].loss());
}

TEST(Sweep, HalvingKeepsTheBetterPartAndForks) {
  const TempDir dir;
  LawTrainer trainer;
  SweepOptions o{.folder = dir.path(),
                 .fixed = {{"depth", "2"}},
                 .axes = {*parse_axis("width=64,96,128,256")},
                 .eta = 2,
                 .steps = 800};
  std::vector<std::string> told;
  const auto result =
      sweep(base::Env::posix(), trainer, o,
            [&](const std::string& name, const RunOutcome&) { told.push_back(name); });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(told,
            (std::vector<std::string>{"width-64_seed-1_steps-200", "width-96_seed-1_steps-200",
                                      "width-128_seed-1_steps-200", "width-256_seed-1_steps-200",
                                      "width-256_seed-1_steps-400", "width-128_seed-1_steps-400",
                                      "width-256_seed-1_steps-800"}));
  EXPECT_EQ(result->rows[0].steps, 800);
  EXPECT_EQ(result->rows[3].steps, 200);
}

TEST(Sweep, StoppedItSaysWhatIsLeft) {
  const TempDir dir;
  LawTrainer trainer;
  trainer.stop_after = 2;
  SweepOptions o{.folder = dir.path(),
                 .fixed = {{"depth", "2"}, {"steps", "9"}},
                 .axes = {*parse_axis("width=64,96,128,256")}};
  const auto result =
      sweep(base::Env::posix(), trainer, o, [](const std::string&, const RunOutcome&) {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->n_runs, 2);
  EXPECT_EQ(result->n_left, 2);
  EXPECT_FALSE(parse_axis("width").ok());
  EXPECT_FALSE(parse_axis("=1,2").ok());
}

}  // namespace
}  // namespace belay::climb
