#include "forecast/frontier.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace belay::forecast {
namespace {

constexpr double kEven = 0.1;  // how far the factors between rows may differ

/// The factor in compute from row to row; none when the rows are no such rows.
std::optional<double> step_of(std::span<const FrontierRow> rows) {
  if (rows.size() < 3) return std::nullopt;
  for (const FrontierRow& row : rows) {
    if (!(row.flops > 0) || !(row.loss > 0)) return std::nullopt;
  }
  const auto n_steps = static_cast<double>(rows.size() - 1);
  const double step = std::pow(rows.back().flops / rows.front().flops, 1 / n_steps);
  if (!(step > 1 + kEven)) return std::nullopt;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const double factor = rows[i].flops / rows[i - 1].flops;
    if (!(std::abs(factor / step - 1) <= kEven)) return std::nullopt;
  }
  return step;
}

/// The loss `steps` rows beyond the last.
double extrapolate(std::span<const double> losses, double steps) {
  const std::size_t n = losses.size();
  const double first = losses[0] - losses[1], last = losses[n - 2] - losses[n - 1];
  if (last <= 0) return losses[n - 1];
  double fall = last * steps;
  if (first > last) {
    const double r = std::pow(last / first, 1 / static_cast<double>(n - 2));
    fall = last * r * (1 - std::pow(r, steps)) / (1 - r);
  }
  return std::max(losses[n - 1] - fall, 0.0);
}

}  // namespace

std::optional<stats::Draws> predict_frontier(std::span<const FrontierRow> rows, double flops,
                                             const FrontierOptions& o) {
  const std::optional<double> step = step_of(rows);
  if (!step || !(flops >= rows.back().flops) || o.n_draws < 1) return std::nullopt;
  const double steps = std::log(flops / rows.back().flops) / std::log(*step);
  const base::Rng scatter(o.seed, base::Purpose::kBootstrap, 1);
  std::uint64_t at = 0;
  const auto moved = [&](double loss) { return loss * std::exp(o.scatter * scatter.normal(at++)); };
  std::vector<double> draws, losses(rows.size());
  for (int k = 0; k < o.n_draws; ++k) {
    for (std::size_t i = 0; i < rows.size(); ++i) losses[i] = moved(rows[i].loss);
    draws.push_back(moved(extrapolate(losses, steps)));
  }
  return stats::Draws(std::move(draws));
}

}  // namespace belay::forecast
