// What belay forecast loss found, as text and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "forecast/isoflop.h"
#include "forecast/loss_backtest.h"
#include "forecast/loss_intervals.h"
#include "forecast/loss_table.h"

namespace belay::cli {

/// The best use of so much compute, and what it will reach.
struct BudgetForecast {
  double flops = 0;
  forecast::Optimum best;
  stats::Draws loss;
};

/// At equal loss, how many times the compute the other table's law needs.
struct LawComparison {
  std::string other;
  double loss = 0, times = 0;
  stats::Interval interval = {};
};

struct LossStudy {
  std::string file;
  forecast::LossTable table;
  forecast::LossFit law;   // every run counts alike
  forecast::LossFit next;  // as forecasts weigh them
  forecast::LossIntervals intervals;
  std::optional<forecast::Isoflop> isoflop;
  std::optional<forecast::LossBacktest> backtest;
  std::string no_isoflop, no_backtest;  // why there is none
  std::vector<BudgetForecast> budgets;  // of the largest run, ten times it, and those asked for
  std::optional<LawComparison> comparison;
};

nlohmann::ordered_json loss_json(const LossStudy& study);
std::string loss_text(const LossStudy& study);

}  // namespace belay::cli
