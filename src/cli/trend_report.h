// What belay forecast trend prints: for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "forecast/abilities.h"
#include "forecast/series.h"
#include "forecast/trend.h"

namespace belay::cli {

/// The value at one place, if the trend goes on and if growth may stop.
struct TrendValue {
  double x = 0;
  forecast::Spread on, may_stop;
  std::map<std::string, double> baselines;
};

struct TrendLevel {
  double level = 0;                    // as asked for: of the benchmark, where there is one
  std::optional<double> reached = {};  // x of the first point there
  forecast::Spread when = {};          // x
  double by = 0;                       // the end of the horizon, x
  double chance = 0, chance_may_stop = 0;
};

struct TrendReport {
  std::string file;
  forecast::Series series;
  forecast::Trend trend;
  double horizon = 0;
  std::vector<TrendValue> values = {};
  std::optional<TrendLevel> level = {};
  std::optional<forecast::Abilities> abilities = {};
  std::string benchmark = {};  // that values and level are of, where abilities are fitted
  std::string registered = {}, register_file = {};  // the id of the forecast that was written down
};

std::string trend_text(const TrendReport& report);
nlohmann::ordered_json trend_json(const TrendReport& report);

}  // namespace belay::cli
