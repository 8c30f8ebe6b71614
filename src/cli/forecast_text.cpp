#include "cli/forecast_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "cli/columns.h"

namespace belay::cli {

using nlohmann::ordered_json;

std::string plain_text(std::string_view text, std::size_t most) {
  const std::string quoted = base::printable(text, most);
  return quoted.substr(1, quoted.size() - 2);
}

ordered_json number_or_null(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json();
}

ordered_json scores_json(const forecast::Scores& scores) {
  ordered_json coverage = ordered_json::array(), baselines = ordered_json::array();
  for (const forecast::Coverage& c : scores.coverage) {
    coverage.push_back({{"level", c.level},
                        {"inside", c.share},
                        {"interval_95", {c.interval.low, c.interval.high}}});
  }
  for (const forecast::BaselineScore& b : scores.baselines) {
    baselines.push_back({{"name", b.name},
                         {"error", b.error},
                         {"skill", b.skill},
                         {"median_skill", b.median_skill},
                         {"wins", b.wins}});
  }
  return {{"n", scores.n},
          {"independent", scores.independent},
          {"coverage", std::move(coverage)},
          {"crps", scores.crps},
          {"median_error", scores.median_error},
          {"baselines", std::move(baselines)}};
}

std::string scores_text(const forecast::Scores& scores, const std::string& unit) {
  std::string text = "  inside the interval:";
  for (const forecast::Coverage& c : scores.coverage) {
    text += fmt::format("  {:.0f} % of those of {:.0f} % ({:.0f} to {:.0f})", 100 * c.share,
                        100 * c.level, 100 * c.interval.low, 100 * c.interval.high);
  }
  text += "\n";
  std::vector<std::vector<std::string>> rows = {
      {"mean error, " + unit, "median", "CRPS"},
      {"this forecast", fmt::format("{:.4g}", scores.median_error),
       fmt::format("{:.4g}", scores.crps)}};
  for (const forecast::BaselineScore& b : scores.baselines) {
    rows.push_back({b.name, fmt::format("{:.4g}", b.error), fmt::format("{:.4g}", b.error),
                    b.wins ? "better than this forecast" : fmt::format("skill {:.2f}", b.skill)});
  }
  return text + table(rows, 2);
}

}  // namespace belay::cli
