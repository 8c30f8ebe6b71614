// belay forecast trend and score as a user meets them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "run_belay.h"
#include "store/forecast_register.h"

namespace belay {
namespace {

using nlohmann::json;
using test::Outcome;
using test::TempDir;

const std::string kTrends = std::string(BELAY_TEST_DATA) + "/trends/";

/// 24 months that grow by a tenth a month, with a small wave.
std::string monthly_csv() {
  std::string text = "date,users\n";
  double users = 100;
  for (int m = 0; m < 24; ++m) {
    const int year = 2024 + m / 12, month = m % 12 + 1;
    const std::string digits = (month < 10 ? "0" : "") + std::to_string(month);
    text += std::to_string(year) + "-" + digits + "-01," +
            std::to_string(users * (m % 2 == 0 ? 1.02 : 0.98)) + "\n";
    users *= 1.1;
  }
  return text;
}

TEST(CliTrend, TrendOfMetrHorizons) {
  const Outcome text = test::belay("forecast trend " + kTrends +
                                   "metr_horizons_1_1.csv --from 2023-01-01 --level 10000");
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* want : {"128.1", "Form: exponential", "Level 10000", "Tried on the past"}) {
    EXPECT_NE(text.out.find(want), std::string::npos) << want << "\n" << text.out;
  }
  const Outcome out = test::belay("forecast trend " + kTrends +
                                  "metr_horizons_1_1.csv --level 10000 --at 2027-01-01 --json");
  ASSERT_EQ(out.code, 0) << out.err;
  const json document = json::parse(out.out);
  EXPECT_NEAR(document["doubling_days"]["best"].get<double>(), 188.657, 0.01);
  EXPECT_EQ(document["series"]["points"].size(), 16u);
  EXPECT_EQ(document["values"][0]["at"], "2027-01-01");
  EXPECT_EQ(document["candidates"].size(), 3u);
  EXPECT_TRUE(document["level"]["when"]["median"].is_string());
  EXPECT_EQ(out.out, test::belay("forecast trend " + kTrends +
                                 "metr_horizons_1_1.csv --level 10000 --at 2027-01-01 --json")
                         .out);
}

TEST(CliTrend, ALosingTrendSaysSoFirst) {
  const Outcome out = test::belay("forecast trend " + kTrends +
                                  "swebench_verified_best.csv --y-column resolved_pct --level 90");
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(out.out.find("LOSES"), 0u) << out.out;
}

TEST(CliTrend, ABenchmarkThroughAbilities) {
  const Outcome out =
      test::belay("forecast trend " + kTrends +
                  "epoch_four_benchmarks.csv --benchmark 'GPQA diamond' --level 0.95 --json");
  ASSERT_EQ(out.code, 0) << out.err;
  const json document = json::parse(out.out);
  EXPECT_EQ(document["form"], "linear");
  const double next = document["values"][0]["if_the_trend_goes_on"]["median"].get<double>();
  EXPECT_GT(next, 0.8);
  EXPECT_LT(next, 1);
  EXPECT_EQ(document["abilities"]["benchmarks"].size(), 4u);
}

TEST(CliTrend, WritesDownAndScoresWhenTheRowComes) {
  const TempDir dir;
  const std::string csv = dir.file("users.csv"), reg = dir.file("forecasts.jsonl");
  test::write(csv, monthly_csv());
  const std::string trend =
      "forecast trend " + csv + " --y-column users --register " + reg + " --at 2040-01-01";
  const Outcome first = test::belay(trend), again = test::belay(trend);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, again.out);
  EXPECT_EQ(store::read_register(base::Env::posix(), reg)->forecasts.size(), 1u);

  const Outcome early = test::belay("forecast score " + dir.path());
  EXPECT_EQ(early.code, 0) << early.err;
  EXPECT_EQ(early.out.find("No forecast has an outcome"), 0u) << early.out;

  test::write(csv, monthly_csv() + "2040-01-01,250000\n");
  const Outcome late = test::belay("forecast score " + reg + " --json");
  ASSERT_EQ(late.code, 0) << late.err;
  const json document = json::parse(late.out);
  EXPECT_EQ(document["forecasts"][0]["outcome"], 250000);
  EXPECT_EQ(document["scores"]["n"], 1);
  EXPECT_EQ(store::read_register(base::Env::posix(), reg)->outcomes.size(), 1u);
  // The outcome is known now, whatever else is asked.
  EXPECT_EQ(test::belay(trend + " --seed 1").code, 2);
}

/// Writes the forecast of a run down, then the run.
void forecast_and_run(const std::string& reg, const std::string& name, double predicted,
                      double made, const std::string& manifest) {
  store::Forecast f;
  f.made = made;
  f.kind = "loss";
  f.target = {{"run", name}, {"metric", "val_loss"}};
  f.unit = "nats per token";
  f.made_from = std::string(64, 'a');
  f.median = predicted;
  for (int i = 1; i <= 99; ++i) f.quantiles.push_back(predicted + (i - 50) / 500.0);
  f.baselines = {{"no change", 4.0}, {"straight line", 3.0}};
  f.n_points = 5;
  ASSERT_TRUE(store::append_forecast(base::Env::posix(), reg, f).ok());
  const std::string folder = base::join_path(base::parent_dir(reg), name);
  ASSERT_TRUE(base::Env::posix().create_dirs(folder).ok());
  test::write(folder + "/run.json", manifest);
}

TEST(CliTrend, ScoresRunsThatAreDone) {
  const TempDir dir;
  const std::string reg = dir.file("forecasts.jsonl");
  forecast_and_run(reg, "a", 3.5, 1000, R"({"status":"done","started":2000,"val_loss":3.45})");
  forecast_and_run(reg, "b", 3.3, 1000, R"({"status":"running","started":2000,"val_loss":3.2})");
  forecast_and_run(reg, "c", 3.3, 3000, R"({"status":"done","started":2000,"val_loss":3.3})");
  const Outcome out = test::belay("forecast score " + reg + " --json");
  ASSERT_EQ(out.code, 0) << out.err;
  const json document = json::parse(out.out);
  const json& rows = document["forecasts"];
  EXPECT_EQ(rows[0]["outcome"], 3.45);
  EXPECT_TRUE(rows[0]["inside_80"].get<bool>());
  EXPECT_FALSE(rows[0]["late"].get<bool>());
  EXPECT_TRUE(rows[1]["outcome"].is_null());
  EXPECT_TRUE(rows[2]["late"].get<bool>());  // made when the run had begun
  EXPECT_EQ(document["scores"]["n"], 1);     // so it does not count
  EXPECT_TRUE(document["lost_to"].empty());
  const std::string text = test::read(reg);
  EXPECT_EQ(test::belay("forecast score " + reg).code, 0);
  EXPECT_EQ(test::read(reg), text);
}

TEST(CliTrend, ALosingRegisterSaysSoFirst) {
  const TempDir dir;
  const std::string reg = dir.file("forecasts.jsonl");
  forecast_and_run(reg, "a", 3.5, 1000, R"({"status":"done","started":2000,"val_loss":4.01})");
  const Outcome out = test::belay("forecast score " + reg);
  EXPECT_EQ(out.code, 0) << out.err;
  EXPECT_EQ(out.out.find("LOSES: over 1 forecast"), 0u) << out.out;
}

TEST(CliTrend, RefusesWithTheReason) {
  const TempDir dir;
  const std::string csv = dir.file("users.csv");
  test::write(csv, monthly_csv());
  const std::string trend = "forecast trend " + csv + " --y-column users ";
  const auto refused = [](const std::string& args, const std::string& words, int code) {
    const Outcome out = test::belay(args);
    EXPECT_EQ(out.code, code) << args << out.err;
    EXPECT_NE(out.err.find(words), std::string::npos) << args << "\n" << out.err;
  };
  refused("forecast", "trend, score", 2);
  refused("forecast trend " + csv, "--y-column", 2);
  refused(trend + "--form cubic", "hyperbolic", 2);
  refused(trend + "--level soon", "--level", 2);
  refused(trend + "--level -3", "cannot be reached", 2);
  refused(trend + "--at someday", "YYYY-MM-DD", 2);
  refused(trend + "--horizon 0", "--horizon", 2);
  refused(trend + "--benchmark x", "--benchmark", 2);
  refused(trend + "--register r.jsonl", "--at", 2);
  refused(trend + "--register r.jsonl --at 2025-01-01", "past", 2);
  refused(trend + "--from 2025-11-15", "more points", 2);
  refused("forecast score " + dir.file("none.jsonl"), "does not exist", 1);
  test::write(dir.file("bad.jsonl"), "{\"type\":\"forecast\"}\n");
  refused("forecast score " + dir.file("bad.jsonl"), "line 1", 1);
  test::write(csv, "date,users\n2024-01-01,5\n2024-02-01,5\n2024-03-01,5\n");
  refused(trend, "all values are equal", 2);
}

}  // namespace
}  // namespace belay
