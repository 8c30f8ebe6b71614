// Trends: forms against curves that are known, intervals against what they promise, published
// numbers of METR, back-tests, and series read from tables with their faults.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "base/rng.h"
#include "forecast/abilities.h"
#include "forecast/dates.h"
#include "forecast/series.h"
#include "forecast/trend.h"
#include "forecast/trend_backtest.h"
#include "store/csv.h"

namespace belay::forecast {
namespace {

using base::Rng;
using store::CsvTable;

CsvTable data(const std::string& name) {
  return *store::read_csv(base::Env::posix(), std::string(BELAY_TEST_DATA) + "/trends/" + name);
}

CsvTable trend_table(const std::string& text) { return *store::parse_csv(text, "t.csv"); }

std::string fault(const std::string& text, const SeriesRequest& request) {
  return read_series(trend_table(text), request).status().message();
}

/// n points of y = f(x) at x = 0, 1/4, 1/2, ..., with normal noise of ln y.
template <class F>
std::vector<Point> curve(std::size_t n, double noise, std::uint64_t seed, F f) {
  const Rng rng(seed, base::Purpose::kTest);
  std::vector<Point> points;
  for (std::size_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(i) / 4;
    points.push_back({x, f(x) * std::exp(noise * static_cast<double>(rng.normal(i)))});
  }
  return points;
}

double doubling_days(const std::string& from) {
  const auto series = read_series(data("metr_horizons_1_1.csv"), {.from = from});
  const auto fit = TrendFit::fit(series->points, {TrendForm::kExponential, {}});
  return std::numbers::ln2 / fit->best_slope() * kDaysPerYear;
}

TEST(Dates, AreDaysSince1970AndBack) {
  EXPECT_EQ(parse_date("1970-01-01"), 0);
  EXPECT_EQ(parse_date("2000-03-01"), 11017);
  EXPECT_EQ(parse_date("2024-02-29T10:00:00Z"), 19782);
  EXPECT_EQ(date_text(19782.9), "2024-02-29");
  EXPECT_EQ(date_text(-1), "1969-12-31");
  EXPECT_EQ(date_text(HUGE_VAL), "never");
  for (const char* bad : {"", "2023-02-29", "2023-13-01", "2023-1-1", "2023/01/01", "-123-01-01",
                          "2023-01-01x", "20230101", "2023-00-10", "2023--1-10"}) {
    EXPECT_FALSE(parse_date(bad)) << bad;
  }
}

TEST(Trend, MetrsDoublingTimes) {  // published with version 1.1: 188.657 and 128.12 days
  EXPECT_NEAR(doubling_days(""), 188.657, 0.01);
  EXPECT_NEAR(doubling_days("2023-01-01"), 128.12, 0.01);
}

TEST(Trend, FormsFindTheirOwnCurves) {
  const auto exponential = curve(12, 0, 0, [](double x) { return 3 * std::exp2(x / 0.5); });
  auto fit = TrendFit::fit(exponential, {TrendForm::kExponential, {}});
  EXPECT_NEAR(std::numbers::ln2 / fit->best_slope(), 0.5, 1e-9);
  EXPECT_NEAR(fit->value_at(4).median(), 3 * std::exp2(8.0), 1e-3);
  EXPECT_NEAR(spread_of(fit->reach(3 * std::exp2(10.0))).median, 5, 1e-6);
  EXPECT_NEAR(fit->r_squared(), 1, 1e-9);

  const auto logistic =
      curve(30, 0.01, 1, [](double x) { return 40 / (1 + std::exp(-1.5 * (x - 4))); });
  fit = TrendFit::fit(logistic, {TrendForm::kLogistic, {}});
  EXPECT_NEAR(spread_of(fit->fourth()).median, 40, 2);
  EXPECT_NEAR(fit->value_at(10).median(), 40, 2);
  EXPECT_EQ(spread_of(fit->reach(60)).median, HUGE_VAL);

  const auto hyperbolic = curve(24, 0.02, 2, [](double x) { return 5 / std::pow(8 - x, 2.0); });
  fit = TrendFit::fit(hyperbolic, {TrendForm::kHyperbolic, {}});
  EXPECT_NEAR(spread_of(fit->fourth()).median, 8, 0.8);
  EXPECT_NEAR(fit->curve_at(3), 5 / std::pow(8 - 3.0, 2.0), 0.01);

  const auto scores =
      curve(20, 0, 0, [](double x) { return 100 / (1 + std::exp(-0.7 * (x - 2))); });
  fit = TrendFit::fit(scores, {TrendForm::kLogistic, 100});
  EXPECT_NEAR(fit->best_slope(), 0.7, 1e-9);
  EXPECT_NEAR(spread_of(fit->reach(99)).median, 2 + std::log(99.0) / 0.7, 1e-5);
}

/// How often the 80 % interval of the next value holds it, over many series of n points.
double coverage(std::size_t n) {
  int inside = 0;
  constexpr int kSeries = 400;
  for (int s = 0; s < kSeries; ++s) {
    auto points = curve(n + 2, 0.4, 100 + static_cast<std::uint64_t>(s),
                        [](double x) { return std::exp(x); });
    const Point last = points.back();
    points.resize(n);
    const auto fit = TrendFit::fit(points, {TrendForm::kExponential, {}},
                                   {.n_draws = 800, .seed = static_cast<std::uint64_t>(s)});
    const auto interval = fit->value_at(last.x).interval(0.8);
    inside += last.y >= interval.low && last.y <= interval.high;
  }
  return inside / static_cast<double>(kSeries);
}

TEST(Trend, IntervalsHoldWhatTheyPromiseWithThreeFourAndTwentyPoints) {
  // 400 series: a standard error of 2 %.
  EXPECT_NEAR(coverage(3), 0.8, 0.06);
  EXPECT_NEAR(coverage(4), 0.8, 0.06);
  EXPECT_NEAR(coverage(20), 0.8, 0.06);
}

TEST(Trend, SlopeIntervalIsStudentsT) {
  // ln y = 0, 1, 2, 3 plus residuals (.1, -.1, -.1, .1): slope 1 with standard error sqrt(.02 / 5),
  // and t(0.975, 2) = 4.3027.
  std::vector<Point> points;
  const double rest[] = {0.1, -0.1, -0.1, 0.1};
  for (int i = 0; i < 4; ++i) points.push_back({i / 1.0, std::exp(i + rest[i])});
  const auto fit = TrendFit::fit(points, {TrendForm::kExponential, {}}, {.n_draws = 100000});
  const auto spread = spread_of(fit->slopes());
  const double half = 4.3027 * std::sqrt(0.04 / 2 / 5);
  EXPECT_NEAR(fit->best_slope(), 1, 1e-9);
  EXPECT_NEAR(spread.intervals[2].high - 1, half, 0.01);
  EXPECT_NEAR(1 - spread.intervals[2].low, half, 0.01);
}

TEST(Trend, RefusesWhatIsNoTrend) {
  const auto refused = [](std::vector<Point> points, const Shape& shape) {
    return TrendFit::fit(points, shape).status().message();
  };
  const Shape exponential{TrendForm::kExponential, {}};
  EXPECT_NE(refused({{0, 1}, {1, 2}}, exponential).find("more points"), std::string::npos);
  EXPECT_NE(refused({{0, 2}, {1, 2}, {2, 2}}, exponential).find("equal"), std::string::npos);
  EXPECT_NE(refused({{1, 2}, {1, 3}, {1, 4}}, exponential).find("one place"), std::string::npos);
  EXPECT_NE(refused({{0, -1}, {1, 2}, {2, 3}}, exponential).find("logarithm"), std::string::npos);
  EXPECT_NE(refused({{0, 1}, {1, 2}, {2, 3}}, {TrendForm::kLogistic, 3}).find("ceiling"),
            std::string::npos);
}

TEST(Trend, ChoosesTheFormThatPredictedThePast) {
  const auto saturating =
      curve(40, 0.03, 5, [](double x) { return 20 / (1 + std::exp(-1.2 * (x - 4))); });
  const auto trend = fit_trend(saturating, {.horizon = 2});
  EXPECT_EQ(trend->fit.shape().form, TrendForm::kLogistic) << trend->why;
  const auto growing = curve(40, 0.2, 6, [](double x) { return std::exp(x); });
  EXPECT_EQ(fit_trend(growing, {.horizon = 2})->fit.shape().form, TrendForm::kExponential);
  EXPECT_TRUE(fit_trend(growing, {.horizon = 2})->test()->scores.lost_to().empty());
}

TEST(Trend, SaysWhenABaselineIsBetter) {
  // A walk without direction: no curve beats its last value.
  const Rng rng(9, base::Purpose::kTest);
  std::vector<Point> points;
  double level = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    level += 0.3 * static_cast<double>(rng.normal(i));
    points.push_back({static_cast<double>(i) / 4, std::exp(level)});
  }
  const auto trend = fit_trend(points, {.horizon = 1});
  const auto lost = trend->test()->scores.lost_to();
  EXPECT_NE(std::find(lost.begin(), lost.end(), "no change"), lost.end());
  EXPECT_GT(trend->widened, 1);
}

TEST(Trend, StopPriorIsGottsRule) {
  const StopPrior prior{1, 6};
  EXPECT_DOUBLE_EQ(prior.chance_within(6), 0.5);
  EXPECT_DOUBLE_EQ(prior.chance_within(prior.quantile(0.8)), 0.8);
  EXPECT_DOUBLE_EQ((StopPrior{2, 6}).chance_within(6), 0.75);
  const auto points = curve(20, 0.1, 3, [](double x) { return std::exp(x); });
  const auto trend = fit_trend(points, {});
  EXPECT_LT(trend->value_at_with_stop(7).median(), trend->fit.value_at(7).median());
  EXPECT_LT(trend->chance_by_with_stop(1000, 8), trend->chance_by(1000, 8));
  EXPECT_GT(trend->chance_by_with_stop(1000, 8), 0.2);
}

TEST(Trend, SweBenchVerified) {
  const auto series =
      read_series(data("swebench_verified_best.csv"),
                  {.x_column = "date", .y_column = "resolved_pct", .frontier = true});
  ASSERT_TRUE(series.ok());
  EXPECT_EQ(series->points.size(), 30u);
  EXPECT_EQ(series->ceiling, 100);
  const auto trend = fit_trend(series->points, {.ceiling = series->ceiling});
  ASSERT_TRUE(trend.ok());
  EXPECT_TRUE(trend->fit.shape().lower) << trend->why;
  const Spread ceiling = spread_of(trend->fit.fourth());
  EXPECT_NEAR(ceiling.median, 81.5, 1);
  EXPECT_GT(ceiling.intervals[2].high, 86);  // widened as the back-test asks
  const double end = series->points.back().x + 3;
  EXPECT_LT(trend->chance_by(90, end), 0.1);
  // The back-test knows that the straight line was the better forecast of these months.
  const auto lost = trend->test()->scores.lost_to();
  EXPECT_EQ(lost, std::vector<std::string>{"straight line"});
  // With the known ceiling alone 90 % were due within a year, which shows what the form decides.
  const auto full = fit_trend(series->points, {.form = TrendForm::kLogistic, .ceiling = 100});
  const Spread when = full->reach(90);
  EXPECT_GE(when.intervals[2].low, series->points.back().x);
  EXPECT_NEAR(when.median, years_of_days(*parse_date("2025-12-23")), 0.1);
  EXPECT_GT(full->test()->scores.crps, trend->test()->scores.crps);
}

TEST(Trend, FourRevenuesLeaveAWideInterval) {
  const auto series = read_series(data("lab_revenue.csv"),
                                  {.where = {"confidence=company statement in interview"}});
  ASSERT_EQ(series->points.size(), 3u);  // of the four, one is 0
  EXPECT_DOUBLE_EQ(series->points[2].y, std::sqrt(4.0 * 4.5));
  const auto trend = fit_trend(series->points, {});
  EXPECT_EQ(trend->test(), nullptr);
  const auto next = trend->fit.value_at(series->points.back().x + 1).interval(0.95);
  EXPECT_GT(next.high / next.low, 100);
  // Four points, with a row of the press: much narrower, and still a factor of four to each side.
  const auto four = read_series(data("lab_revenue.csv"), {});
  ASSERT_EQ(four->points.size(), 4u);
  const auto wide =
      fit_trend(four->points, {})->fit.value_at(four->points.back().x + 1).interval(0.95);
  EXPECT_GT(wide.high / wide.low, 4);
  EXPECT_LT(wide.high / wide.low, 100);
}

TEST(Abilities, PredictScoresThatWereHeldOut) {
  const auto a = read_abilities(data("epoch_four_benchmarks.csv"), {});
  ASSERT_TRUE(a.ok()) << a.status().message();
  EXPECT_EQ(a->benchmarks.size(), 4u);
  EXPECT_GT(a->held_out.n, 15u);
  EXPECT_LT(a->held_out.error, 0.6 * a->held_out.benchmark_error);
  EXPECT_GT(a->series.points.size(), 5u);
  const std::size_t gpqa = *a->benchmark("GPQA diamond");
  EXPECT_NEAR(a->fit.score_of(gpqa, a->fit.ability_for(gpqa, 0.7)), 0.7, 1e-12);
  EXPECT_NE(a->benchmark("GPQA diamont").status().message().find("GPQA diamond"),
            std::string::npos);
}

TEST(Abilities, FindThoseThatScoresWereMadeFrom) {
  std::vector<ItemScore> scores;
  for (std::size_t m = 0; m < 30; ++m) {
    for (std::size_t b = 0; b < 6; ++b) {
      if ((m + b) % 3 == 0) continue;  // gaps
      const double ability = -2 + 0.15 * static_cast<double>(m);
      const double difficulty = -1.5 + 0.6 * static_cast<double>(b);
      const double slope = b % 2 == 0 ? 0.8 : 1.4;
      scores.push_back({m, b, 1 / (1 + std::exp(-slope * (ability - difficulty)))});
    }
  }
  const ItemFit fit = fit_items(scores, 30, 6);
  EXPECT_LT(fit.error, 0.01);
  for (std::size_t m = 1; m < 30; ++m) EXPECT_GT(fit.ability[m], fit.ability[m - 1]);
  EXPECT_GT(fit.slope[1] / fit.slope[0], 1.5);
}

TEST(Series, SaysWhatItLeftOutAndSorts) {
  const auto s = read_series(
      trend_table("day,v\n2024-03-01,4\n2024-01-01,1\n,9\n2024-02-01,\n2024-02-01,2\n2024-02-01,3\n"
                  "2024-04-01,-1\n"),
      {.x_column = "day", .y_column = "v"});
  ASSERT_TRUE(s.ok()) << s.status().message();
  ASSERT_EQ(s->points.size(), 4u);
  EXPECT_EQ(s->points[0].y, 1);
  EXPECT_EQ(s->points[3].y, 4);
  std::string notes;
  for (const std::string& note : s->notes) notes += note + "\n";
  for (const char* want : {"2 rows left out: the date or the value is missing",
                           "1 row left out: 0 or less", "not in order", "1 values share"}) {
    EXPECT_NE(notes.find(want), std::string::npos) << want << "\n" << notes;
  }
}

TEST(Series, FrontierKeepsTheBestOfADateAndOnlyNewBests) {
  const auto s = read_series(trend_table("date,v\n2024-01-01,3\n2024-01-01,5\n2024-02-01,5\n"
                                         "2024-03-01,4\n2024-04-01,7\n"),
                             {.y_column = "v", .frontier = true});
  ASSERT_EQ(s->points.size(), 2u);
  EXPECT_EQ(s->points[0].y, 5);
  EXPECT_EQ(s->points[1].y, 7);
}

TEST(Series, NamesTheFault) {
  const std::string good = "date,v\n2024-01-01,3\n";
  EXPECT_NE(fault("date,v\n01.02.2024,3\n", {.y_column = "v"}).find("t.csv: line 2, column 'date'"),
            std::string::npos);
  EXPECT_NE(fault("date,v\n2024-01-01,many\n", {.y_column = "v"}).find("no number"),
            std::string::npos);
  EXPECT_NE(fault("date,v\n2024-01-01,nan\n", {.y_column = "v"}).find("not finite"),
            std::string::npos);
  EXPECT_NE(fault(good, {}).find("--y-column"), std::string::npos);
  EXPECT_NE(fault("a,v\n1,3\n", {.y_column = "v"}).find("--date-column"), std::string::npos);
  EXPECT_NE(fault(good, {.y_column = "w"}).find("no column 'w'"), std::string::npos);
  EXPECT_NE(fault(good, {.y_column = "v", .where = {"v=4"}}).find("no row with 'v' = '4'"),
            std::string::npos);
  EXPECT_NE(fault(good, {.y_column = "v", .where = {"v"}}).find("COLUMN=VALUE"), std::string::npos);
  EXPECT_NE(fault("c,v\n-1,3\n", {.x_column = "c", .y_column = "v", .x_is_date = false})
                .find("no logarithm"),
            std::string::npos);
}

TEST(Series, AmountsGiveAPowerLaw) {
  std::string text = "flops,error\n";
  for (double c = 1e18; c < 1e24; c *= 10)
    text += std::to_string(c) + "," + std::to_string(300 * std::pow(c, -0.1)) + "\n";
  const auto s = read_series(trend_table(text),
                             {.x_column = "flops", .y_column = "error", .x_is_date = false});
  ASSERT_TRUE(s.ok());
  const auto trend = fit_trend(s->points, {.by_date = s->by_date});
  EXPECT_NEAR(trend->fit.best_slope(), -0.1, 1e-4);
  EXPECT_NEAR(trend->fit.value_at(*parse_x(*s, "1e25")).median(), 300 * std::pow(1e25, -0.1), 1e-3);
}

TEST(Scores, CountCoverageAndCompareWithBaselines) {
  std::vector<double> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(i / 1000.0);
  const stats::Draws uniform(values);
  const ScoreRow in = score(uniform, 0.6, {{"b", 0.9}}), out = score(uniform, 0.95, {{"b", 0.9}});
  EXPECT_TRUE(in.inside(0));
  EXPECT_FALSE(out.inside(0));
  EXPECT_NEAR(in.below, 0.6, 1e-3);
  // CRPS of a uniform distribution on [0, 1] at y: y^2 - y + 1/3.
  EXPECT_NEAR(out.crps, 0.95 * 0.95 - 0.95 + 1.0 / 3, 1e-3);
  const Scores scores = summarize(std::vector{in, out});
  EXPECT_DOUBLE_EQ(scores.coverage[0].share, 0.5);
  ASSERT_EQ(scores.baselines.size(), 1u);
  EXPECT_NEAR(scores.baselines[0].error, 0.175, 1e-12);
  EXPECT_EQ(scores.lost_to(), std::vector<std::string>{"b"});  // (0.1 + 0.45) / 2 > 0.175
  // A distribution survives its percentiles.
  const stats::Draws again = from_percentiles(percentiles(uniform));
  EXPECT_NEAR(again.interval(0.95).low, 0.025, 1e-3);
  EXPECT_NEAR(again.crps(0.6), uniform.crps(0.6), 1e-3);
}

}  // namespace
}  // namespace belay::forecast
