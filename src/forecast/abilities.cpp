#include "forecast/abilities.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"
#include "forecast/dates.h"

namespace belay::forecast {
namespace {

using base::Result;
using store::CsvTable;

constexpr double kHeldOut = 0.1;
constexpr std::uint64_t kSeed = 1;

/// The place of a name in a list that grows by it.
std::size_t place_of(std::vector<std::string>& names, std::map<std::string, std::size_t>& places,
                     const std::string& name) {
  const auto [found, is_new] = places.emplace(name, names.size());
  if (is_new) names.push_back(name);
  return found->second;
}

struct Cells {
  std::map<std::pair<std::size_t, std::size_t>, std::pair<double, int>> scores;  // sum, number
  std::map<std::size_t, double> dates;  // of a model: days, the earliest
  std::size_t n_empty = 0;
};

Result<Cells> read_cells(const CsvTable& table, Abilities& into) {
  BELAY_ASSIGN_OR_RETURN(const std::size_t benchmark, table.column("benchmark"));
  BELAY_ASSIGN_OR_RETURN(const std::size_t model, table.column("model_version"));
  BELAY_ASSIGN_OR_RETURN(const std::size_t date, table.column("release_date"));
  BELAY_ASSIGN_OR_RETURN(const std::size_t score, table.column("score_fraction"));
  std::map<std::string, std::size_t> model_places, benchmark_places;
  Cells cells;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const auto& row = table.rows[r];
    if (row[score].empty()) {
      ++cells.n_empty;
      continue;
    }
    BELAY_ASSIGN_OR_RETURN(const double value, table.number(r, score));
    if (!(value >= 0 && value <= 1)) {
      return base::corrupt({.where = table.where(r, score),
                            .what = "is no fraction",
                            .seen = row[score],
                            .allowed = "0 to 1"});
    }
    const std::size_t m = place_of(into.models, model_places, row[model]);
    const std::size_t b = place_of(into.benchmarks, benchmark_places, row[benchmark]);
    auto& [sum, n] = cells.scores[{m, b}];
    sum += value;
    ++n;
    if (row[date].empty()) continue;
    const auto days = parse_date(row[date]);
    if (!days) {
      return base::corrupt({.where = table.where(r, date),
                            .what = "is no date",
                            .seen = base::printable(row[date], 40),
                            .allowed = "YYYY-MM-DD"});
    }
    const auto [found, is_new] = cells.dates.emplace(m, *days);
    if (!is_new) found->second = std::min(found->second, *days);
  }
  return cells;
}

struct Dated {
  Point point;
  std::string label;
};

void fill_series(const Cells& cells, double from, Abilities& a) {
  std::vector<Dated> all;
  std::size_t few = 0, undated = 0, early = 0, beaten = 0;
  for (std::size_t m = 0; m < a.models.size(); ++m) {
    const auto date = cells.dates.find(m);
    if (date == cells.dates.end()) {
      ++undated;
    } else if (a.n_scores[m] < kLeastScores) {
      ++few;
    } else if (years_of_days(date->second) < from) {
      ++early;
    } else {
      all.push_back({{years_of_days(date->second), a.fit.ability[m]}, a.models[m]});
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Dated& x, const Dated& y) { return x.point.x < y.point.x; });
  for (const Dated& one : all) {
    auto& points = a.series.points;
    if (a.series.frontier && !points.empty() && one.point.y <= points.back().y) {
      ++beaten;
      continue;
    }
    if (a.series.frontier && !points.empty() && points.back().x == one.point.x) {
      ++beaten;
      points.pop_back();
      a.series.labels.pop_back();
    }
    points.push_back(one.point);
    a.series.labels.push_back(one.label);
  }
  const auto say = [&](std::size_t n, const std::string& what) {
    if (n > 0) a.series.notes.push_back(fmt::format("{} model{} {}", n, n == 1 ? "" : "s", what));
  };
  say(undated, "without a date: in the fit of abilities, not in the series");
  say(few, fmt::format("with fewer than {} scores: likewise", kLeastScores));
  say(early, "before " + a.series.from + ": likewise");
  say(beaten, "left out: no new best (the frontier is fitted)");
}

}  // namespace

Result<std::size_t> Abilities::benchmark(const std::string& name) const {
  const auto found = std::find(benchmarks.begin(), benchmarks.end(), name);
  if (found != benchmarks.end()) return static_cast<std::size_t>(found - benchmarks.begin());
  const auto near = base::nearest(name, {benchmarks.begin(), benchmarks.end()});
  std::string all;
  for (std::size_t b = 0; b < std::min<std::size_t>(benchmarks.size(), 8); ++b) {
    all += (b == 0 ? "" : ", ") + base::printable(benchmarks[b], 40);
  }
  if (benchmarks.size() > 8) all += ", ...";
  return base::invalid_argument(
      {.where = "--benchmark",
       .what = "is not in the table",
       .seen = base::printable(name),
       .allowed = all,
       .next = near ? "did you mean " + base::printable(*near) + "?" : std::string()});
}

Result<Abilities> read_abilities(const CsvTable& table, const SeriesRequest& request) {
  Abilities a;
  BELAY_ASSIGN_OR_RETURN(const Cells cells, read_cells(table, a));
  if (cells.scores.empty()) {
    return base::invalid_argument({.where = table.file, .what = "holds no scores"});
  }
  a.n_scores.assign(a.models.size(), 0);
  for (const auto& [place, sum] : cells.scores) {
    a.scores.push_back({place.first, place.second, sum.first / sum.second});
    ++a.n_scores[place.first];
  }
  a.fit = fit_items(a.scores, a.models.size(), a.benchmarks.size());
  a.held_out = hold_out(a.scores, a.models.size(), a.benchmarks.size(), kHeldOut, kSeed);
  Series& series = a.series;
  series.title = "ability over all benchmarks";
  series.source = "Epoch AI, benchmark data";
  series.x_column = "release_date";
  series.y_column = "ability";
  series.unit = "log odds";
  series.frontier = true;
  series.n_rows = table.rows.size();
  series.from = request.from;
  double from = -HUGE_VAL;
  if (!request.from.empty()) {
    BELAY_ASSIGN_OR_RETURN(from, parse_x(series, request.from));
  }
  if (cells.n_empty > 0) {
    series.notes.push_back(fmt::format("{} rows left out: no score", cells.n_empty));
  }
  fill_series(cells, from, a);
  series.notes.emplace_back(
      "abilities follow from all scores, also later ones: the back-test knows a little more than "
      "one could then");
  return a;
}

}  // namespace belay::forecast
