// The lowest loss at each compute: where it goes on, and what it needs to be asked.
#include "forecast/frontier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <vector>

namespace belay::forecast {
namespace {

std::vector<FrontierRow> rows_of(int n, double floor, double gamma) {
  std::vector<FrontierRow> rows;
  for (int i = 0; i < n; ++i) {
    const double flops = 1e12 * std::pow(2.0, i);
    rows.push_back({flops, floor + 2 * std::pow(flops / 1e12, -gamma)});
  }
  return rows;
}

TEST(Frontier, GoesOnAlongAPowerOfComputeAboveAFloor) {
  for (const int n : {3, 4, 6}) {
    const auto rows = rows_of(n, 1.7, 0.4);
    for (const double ahead : {1.0, 3.0, 8.0}) {
      const double flops = ahead * rows.back().flops;
      const auto draws = predict_frontier(rows, flops, {.scatter = 0, .n_draws = 1});
      ASSERT_TRUE(draws.has_value());
      EXPECT_NEAR(draws->median(), 1.7 + 2 * std::pow(flops / 1e12, -0.4), 1e-12);
    }
  }
}

TEST(Frontier, FallsDoNotGrow) {
  // Falls of 0.1, 0.1 and 0.3: what follows falls by 0.3, the third time by less than any row.
  const std::vector<FrontierRow> rows = {{1e12, 4}, {2e12, 3.9}, {4e12, 3.8}, {8e12, 3.5}};
  const auto draws = predict_frontier(rows, 32e12, {.scatter = 0, .n_draws = 1});
  EXPECT_NEAR(draws->median(), 2.9, 1e-12);
  const std::vector<FrontierRow> risen = {{1e12, 4}, {2e12, 3.9}, {4e12, 3.95}};
  EXPECT_EQ(predict_frontier(risen, 32e12, {.scatter = 0, .n_draws = 1})->median(), 3.95);
}

TEST(Frontier, ScatterOfARowMovesItBySeveralTimesAsMuch) {
  const auto rows = rows_of(4, 1.7, 0.4);
  const auto draws = predict_frontier(rows, 4 * rows.back().flops, {.scatter = 1e-3});
  const stats::Interval in = draws->interval(0.8);
  const double deviation = (in.high - in.low) / 2.5631 / draws->median();
  EXPECT_GT(deviation, 2e-3);
  EXPECT_LT(deviation, 8e-3);
}

TEST(Frontier, NeedsRowsOfOneFactor) {
  auto rows = rows_of(4, 1.7, 0.4);
  const double flops = 4 * rows.back().flops;
  EXPECT_TRUE(predict_frontier(rows, flops).has_value());
  EXPECT_FALSE(predict_frontier(std::span(rows).first(2), flops).has_value());
  EXPECT_FALSE(predict_frontier(rows, rows[2].flops).has_value());
  rows[1].flops *= 1.3;
  EXPECT_FALSE(predict_frontier(rows, flops).has_value());
  EXPECT_FALSE(predict_frontier(std::vector<FrontierRow>(4, {1e12, 3.0}), 4e12).has_value());
  EXPECT_FALSE(predict_frontier(rows_of(4, -9, 0.4), flops).has_value());
}

}  // namespace
}  // namespace belay::forecast
