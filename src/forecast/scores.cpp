#include "forecast/scores.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"
#include "stats/proportion.h"

namespace belay::forecast {
namespace {

constexpr std::size_t kPercentiles = 99;
constexpr int kExpanded = 1000;

double mean_of(std::span<const ScoreRow> rows, auto value) {
  double sum = 0;
  for (const ScoreRow& row : rows) sum += value(row);
  return sum / static_cast<double>(rows.size());
}

}  // namespace

std::vector<double> percentiles(const stats::Draws& prediction) {
  std::vector<double> values;
  for (std::size_t i = 1; i <= kPercentiles; ++i) {
    values.push_back(prediction.quantile(static_cast<double>(i) / (kPercentiles + 1)));
  }
  return values;
}

stats::Draws from_percentiles(std::span<const double> values) {
  BELAY_CHECK(values.size() == kPercentiles, "99 percentiles");
  std::vector<double> draws;
  for (int i = 0; i < kExpanded; ++i) {
    const double at = (i + 0.5) / kExpanded * (kPercentiles + 1) - 1;  // a place among the values
    const double inner = std::clamp(std::floor(at), 0.0, static_cast<double>(kPercentiles - 2));
    const auto j = static_cast<std::size_t>(inner);
    draws.push_back(values[j] + (at - inner) * (values[j + 1] - values[j]));
  }
  return stats::Draws(std::move(draws));
}

double ScoreRow::error() const { return std::abs(median - outcome); }

bool ScoreRow::inside(std::size_t level) const {
  return outcome >= intervals.at(level).low && outcome <= intervals.at(level).high;
}

ScoreRow score(const stats::Draws& prediction, double outcome,
               std::map<std::string, double> baselines) {
  ScoreRow row;
  row.median = prediction.median();
  row.outcome = outcome;
  row.crps = prediction.crps(outcome);
  const auto sorted = prediction.sorted();
  const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), outcome);
  row.below = (static_cast<double>(low - sorted.begin()) + static_cast<double>(high - low) / 2) /
              static_cast<double>(sorted.size());
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    row.intervals[i] = prediction.interval(kLevels[i]);
  }
  row.baselines = std::move(baselines);
  return row;
}

std::vector<std::string> Scores::lost_to() const {
  std::vector<std::string> names;
  for (const BaselineScore& baseline : baselines) {
    if (baseline.wins) names.push_back(baseline.name);
  }
  return names;
}

Scores summarize(std::span<const ScoreRow> rows, double independent) {
  BELAY_CHECK(!rows.empty(), "scores of something");
  Scores scores;
  scores.n = rows.size();
  const auto n = static_cast<double>(rows.size());
  scores.independent = independent > 0 ? std::min(independent, n) : n;
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    const double share = mean_of(rows, [&](const ScoreRow& row) { return row.inside(i); });
    scores.coverage[i] = {
        kLevels[i], share,
        stats::proportion_interval(share * scores.independent, scores.independent)};
  }
  scores.crps = mean_of(rows, [](const ScoreRow& row) { return row.crps; });
  scores.median_error = mean_of(rows, [](const ScoreRow& row) { return row.error(); });
  for (const auto& [name, value] : rows[0].baselines) {
    const auto has = [&](const ScoreRow& row) { return row.baselines.contains(name); };
    if (!std::all_of(rows.begin(), rows.end(), has)) continue;
    const double error = mean_of(
        rows, [&](const ScoreRow& row) { return std::abs(row.baselines.at(name) - row.outcome); });
    const auto skill = [&](double ours) {
      return error > 0 ? 1 - ours / error : ours > 0 ? -1 : 0;
    };
    BaselineScore b{name, error, skill(scores.crps), skill(scores.median_error), false};
    b.wins = b.skill < 0 || b.median_skill < 0;
    scores.baselines.push_back(std::move(b));
  }
  return scores;
}

}  // namespace belay::forecast
