// Summaries against hand-computed values and against what an interval promises: how often it holds
// the median of the population.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "stats/draws.h"
#include "stats/minimize.h"
#include "stats/summary.h"

namespace belay::stats {
namespace {

using Values = std::vector<double>;

TEST(Summary, QuantilesLieBetweenOrderStatistics) {
  const Values values = {7, 1, 4, 10};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 1), 10);
  EXPECT_EQ(quantile(values, 1.0 / 3), 4);
  EXPECT_DOUBLE_EQ(quantile(values, 0.25), 3.25);
  EXPECT_DOUBLE_EQ(quantile(values, 0.9), 9.1);
  EXPECT_EQ(values, (Values{7, 1, 4, 10}));
}

TEST(Summary, MedianOfOddAndEvenNumbers) {
  EXPECT_EQ(median(Values{3}), 3);
  EXPECT_EQ(median(Values{2, 1}), 1.5);
  EXPECT_EQ(median(Values{5, -1, 2}), 2);
  EXPECT_EQ(median(Values{4, 4, 1, 9}), 4);
  EXPECT_EQ(median(Values{1, INFINITY, 2}), 2);
}

TEST(Summary, RefusesAnEmptySampleAndOddFractions) {
  EXPECT_THROW(median(Values{}), std::logic_error);
  EXPECT_THROW(quantile(Values{1}, 1.1), std::logic_error);
  EXPECT_THROW(median_interval(Values{1}, 1, base::Rng(1, base::Purpose::kTest)), std::logic_error);
}

TEST(Summary, IntervalIsAFunctionOfItsArguments) {
  Values values;
  const base::Rng rng(3, base::Purpose::kTest);
  for (std::uint64_t i = 0; i < 25; ++i) values.push_back(static_cast<double>(rng.normal(i)));
  const base::Rng draws(1, base::Purpose::kBootstrap);
  const Interval a = median_interval(values, 0.95, draws), b = median_interval(values, 0.95, draws);
  EXPECT_EQ(a.low, b.low);
  EXPECT_EQ(a.high, b.high);
  EXPECT_LE(a.low, median(values));
  EXPECT_GE(a.high, median(values));
  const Interval narrow = median_interval(values, 0.5, draws);
  EXPECT_GE(narrow.low, a.low);
  EXPECT_LE(narrow.high, a.high);
  const Interval one = median_interval(Values{2}, 0.95, draws);
  EXPECT_EQ(one.low, 2);
  EXPECT_EQ(one.high, 2);
}

TEST(Summary, IntervalHoldsTheMedianAsOftenAsItSays) {
  int held = 0;
  constexpr int kTrials = 400;
  for (std::uint64_t trial = 0; trial < kTrials; ++trial) {
    const base::Rng rng(11, base::Purpose::kTest, trial);
    Values values;  // exponential: median ln 2
    for (std::uint64_t i = 0; i < 31; ++i) values.push_back(-std::log1p(-rng.uniform53(i)));
    const base::Rng draws(trial, base::Purpose::kBootstrap);
    const Interval in = median_interval(values, 0.9, draws, 300);
    held += in.low <= std::log(2) && std::log(2) <= in.high ? 1 : 0;
  }
  EXPECT_NEAR(held / double{kTrials}, 0.9, 0.05);
}

TEST(Draws, CrpsIsTheIntegralOfTheSquaredDistance) {
  const Draws draws({3, 1, 2, 7, 2.5});
  // CRPS = integral of (F(x) - [x >= y])^2 dx, by the midpoint rule.
  for (const double outcome : {-1.0, 2.0, 2.2, 9.0}) {
    double integral = 0;
    constexpr double kStep = 1e-4;
    for (double x = -5 + kStep / 2; x < 15; x += kStep) {
      double below = 0;
      for (const double v : draws.sorted()) below += v <= x ? 0.2 : 0;
      const double gap = below - (x >= outcome ? 1 : 0);
      integral += gap * gap * kStep;
    }
    EXPECT_NEAR(draws.crps(outcome), integral, 1e-3) << outcome;
  }
  EXPECT_DOUBLE_EQ(Draws({4}).crps(6.5), 2.5);
  EXPECT_DOUBLE_EQ(draws.median(), 2.5);
  EXPECT_DOUBLE_EQ(draws.interval(0.5).low, 2);
  EXPECT_DOUBLE_EQ(draws.interval(0.5).high, 3);
}

TEST(Minimize, FindsTheEndOfRosenbrocksValley) {
  const Objective valley = [](std::span<const double> x, std::span<double> g) {
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    if (!g.empty()) {
      g[0] = -2 * a - 400 * x[0] * b;
      g[1] = 200 * b;
    }
    return a * a + 100 * b * b;
  };
  const Minimum free = minimize(valley, {-1.2, 1});
  EXPECT_TRUE(free.converged);
  EXPECT_NEAR(free.x[0], 1, 1e-6);
  EXPECT_NEAR(free.x[1], 1, 1e-6);
  const Minimum bounded = minimize(valley, {-1.2, 1}, Values{-2, -2}, Values{0.5, 2});
  EXPECT_NEAR(bounded.x[0], 0.5, 1e-6);
  EXPECT_NEAR(bounded.x[1], 0.25, 1e-5);
}

TEST(Minimize, NeverEndsAboveItsStart) {
  const Objective cliff = [](std::span<const double> x, std::span<double> g) {
    if (!g.empty()) g[0] = -1;
    return x[0] > 2 ? HUGE_VAL : -x[0];
  };
  const Minimum found = minimize(cliff, {0});
  EXPECT_LE(found.value, 0);
  EXPECT_LE(found.x[0], 2);
}

}  // namespace
TEST(Combine, WeighsByTheInverseOfTheVariance) {
  // Two normal distributions: 10 with a deviation of 1, 11 with one of 0.5.
  std::vector<double> wide, narrow;
  const base::Rng draws(1, base::Purpose::kTest);
  for (std::uint64_t i = 0; i < 40000; ++i) {
    wide.push_back(10 + draws.normal(2 * i));
    narrow.push_back(11 + 0.5 * draws.normal(2 * i + 1));
  }
  const Combined both = combine(Draws(wide), Draws(narrow));
  EXPECT_NEAR(both.weight, 0.2, 0.005);
  EXPECT_NEAR(both.draws.median(), 10.8, 0.01);
  const Interval in = both.draws.interval(0.8);
  EXPECT_NEAR((in.high - in.low) / 2.5631, std::sqrt(0.2), 0.01);  // 1 / (1 / 1 + 1 / 0.25)
}

TEST(Combine, WidensWhereTheTwoAreFurtherApartThanTheySay) {
  std::vector<double> a, b;
  for (int i = 0; i <= 1000; ++i) {
    a.push_back(1 + 0.001 * i);
    b.push_back(6 + 0.001 * i);
  }
  const Combined both = combine(Draws(a), Draws(b));
  EXPECT_NEAR(both.weight, 0.5, 1e-9);
  EXPECT_NEAR(both.draws.median(), 4, 1e-9);
  const double deviation = 0.8 / 2.5631031310892007;
  const Interval near = combine(Draws(a), Draws(a)).draws.interval(0.8);
  const Interval far = both.draws.interval(0.8);
  EXPECT_NEAR((far.high - far.low) / (near.high - near.low), 5 / (std::sqrt(2.0) * deviation),
              1e-6);
}

TEST(Combine, PointsMeetInTheMiddle) {
  const Combined both = combine(Draws({1}), Draws({2}));
  EXPECT_EQ(both.draws.median(), 1.5);
  EXPECT_EQ(combine(Draws({1}), Draws({1, 2, 3})).draws.median(), 1);
}

}  // namespace belay::stats
