#include "cli/trend_report.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "cli/columns.h"
#include "cli/forecast_text.h"
#include "forecast/dates.h"

namespace belay::cli {
namespace {

using forecast::Candidate;
using forecast::kLevels;
using forecast::Series;
using forecast::Spread;
using forecast::Trend;
using forecast::TrendBacktest;
using forecast::TrendForm;
using nlohmann::ordered_json;
using Cells = std::vector<std::vector<std::string>>;

std::string number(double value) {
  if (!(std::abs(value) < 1e100)) return value > 0 ? "unbounded" : "-unbounded";
  return fmt::format("{:.4g}", value);
}

/// "2028-03-01 to 2029-01-01" and the like.
template <class Text>
std::vector<std::string> spread_cells(const Spread& spread, Text text) {
  std::vector<std::string> cells = {text(spread.median)};
  for (const auto& interval : spread.intervals) {
    cells.push_back(text(interval.low) + " to " + text(interval.high));
  }
  return cells;
}

void add_row(Cells& rows, const std::string& name, std::vector<std::string> cells) {
  cells.insert(cells.begin(), name);
  rows.push_back(std::move(cells));
}

std::string head(const TrendReport& r) {
  const Series& s = r.series;
  std::string where;
  for (const std::string& condition : s.where) where += ", " + plain_text(condition);
  std::string text =
      fmt::format("{}{} ({}{}): {} points, {} to {}\n", plain_text(s.title),
                  s.unit.empty() ? "" : ", " + s.unit, plain_text(r.file, 200), where,
                  s.points.size(), x_text(s, s.points.front().x), x_text(s, s.points.back().x));
  for (const std::string& note : s.notes) text += "  " + note + "\n";
  if (r.abilities) {
    const auto& a = *r.abilities;
    text += fmt::format(
        "  abilities: {} models on {} benchmarks, {} scores; error of a score {:.3f}\n"
        "  a tenth held out ({} scores): error {:.3f}; mean of the benchmark {:.3f}, plus that of "
        "the model {:.3f}\n",
        a.models.size(), a.benchmarks.size(), a.scores.size(), a.fit.error, a.held_out.n,
        a.held_out.error, a.held_out.benchmark_error, a.held_out.sum_error);
  }
  return text;
}

std::string test_unit(const TrendReport& r, const TrendBacktest& test) {
  const std::string unit = r.series.unit.empty() ? r.series.y_column : r.series.unit;
  return test.of_logarithms ? "in ln y (0.1 is about 10 %)" : "in " + plain_text(unit);
}

std::string form_text(const TrendReport& r) {
  const Trend& t = r.trend;
  const auto& shape = t.fit.shape();
  const bool power = !r.series.by_date && shape.form == TrendForm::kExponential;
  std::string text = fmt::format("Form: {}", power ? "power law" : shape_name(shape));
  if (!t.why.empty()) text += ": " + t.why;
  text += fmt::format(". The curve explains {:.1f} % of the variance of {} points.\n",
                      100 * t.fit.r_squared(), t.fit.n_points());
  for (const Candidate& c : t.candidates) {
    if (t.candidates.size() == 1) break;
    if (!c.fault.empty()) {
      text += fmt::format("  {}: cannot be fitted: {}\n", shape_name(c.shape), c.fault);
    } else if (c.test) {
      text += fmt::format("  {}: CRPS on the past {:.4g} {}\n", shape_name(c.shape),
                          c.test->scores.crps, test_unit(r, *c.test));
    }
  }
  return text;
}

/// The first lines where the forecast is not to be trusted.
std::string warning(const TrendReport& r) {
  const TrendBacktest* test = r.trend.test();
  std::string text;
  if (test != nullptr) {
    for (const std::string& name : test->scores.lost_to()) {
      text += fmt::format("LOSES: on the past, \"{}\" predicted better than this trend.\n", name);
    }
  }
  if (r.series.points.size() < 10) {
    text += fmt::format(
        "FEW POINTS: {}. The intervals are what so few can give (Student's t with {} "
        "degree{} of freedom).\n",
        r.series.points.size(), r.trend.fit.degrees_of_freedom(),
        r.trend.fit.degrees_of_freedom() == 1 ? "" : "s");
  }
  return text;
}

std::string growth_text(const TrendReport& r) {
  const Trend& t = r.trend;
  Cells rows = {{"", "best", "median", "50 %", "80 %", "95 %"}};
  const auto add = [&](const std::string& name, double best, const Spread& spread, double unit) {
    const auto text = [&](double v) { return number(v * unit); };
    auto cells = spread_cells(spread, text);
    cells.insert(cells.begin(), text(best));
    add_row(rows, name, std::move(cells));
  };
  const double slope = t.fit.best_slope();
  if (t.fit.shape().form == TrendForm::kLinear) {
    add("gain a year", slope, t.slope(), 1);
  } else if (!r.series.by_date) {
    add("exponent", slope, t.slope(), 1);
  } else {
    const char* of_odds = t.fit.shape().form == TrendForm::kLogistic ? " of the odds" : "";
    add(fmt::format("{} time{}, days", t.shrinks() ? "halving" : "doubling", of_odds),
        std::numbers::ln2 / std::abs(slope), t.doubling(), forecast::kDaysPerYear);
  }
  if (const auto fourth = t.fit.fourth(); !fourth.empty()) {
    const bool date = t.fit.shape().form == TrendForm::kHyperbolic;
    const auto text = [&](double v) { return date ? x_text(r.series, v) : number(v); };
    auto cells = spread_cells(forecast::spread_of(fourth), text);
    cells.insert(cells.begin(), "");
    add_row(rows, date ? "date of the pole" : "ceiling", std::move(cells));
  }
  return table(rows, 2);
}

std::string test_text(const TrendReport& r) {
  const TrendBacktest* test = r.trend.test();
  if (test == nullptr) return "Tried on the past: too few points for that.\n";
  std::string text = fmt::format(
      "Tried on the past: {} predictions from {} earlier dates{}.\n", test->rows.size(),
      test->n_origins,
      r.series.by_date ? fmt::format(", up to {:g} years ahead", r.horizon) : std::string());
  text += scores_text(test->scores, test_unit(r, *test));
  if (r.trend.widened > 1) {
    text +=
        fmt::format("  Its intervals were too narrow: all in this report are {:.2f} times wider.\n",
                    r.trend.widened);
  }
  return text;
}

std::string values_text(const TrendReport& r) {
  std::string text;
  const std::string of = r.benchmark.empty() ? "" : " of " + plain_text(r.benchmark);
  for (const bool may_stop : {false, true}) {
    if (may_stop && !r.series.by_date) break;
    Cells rows = {{r.series.by_date ? "date" : plain_text(r.series.x_column), "median", "50 %",
                   "80 %", "95 %"}};
    for (const TrendValue& v : r.values) {
      add_row(rows, x_text(r.series, v.x), spread_cells(may_stop ? v.may_stop : v.on, number));
    }
    text += fmt::format("The next value{}, {}:\n", of,
                        may_stop ? "when growth may stop on the way" : "if the trend goes on");
    text += table(rows, 2);
  }
  return text;
}

std::string stop_text(const TrendReport& r) {
  const auto& stop = r.trend.stop;
  const auto years = [&](double q) { return number(stop.quantile(q)); };
  return fmt::format(
      "Growth stops within {:g} years: {:.0f} %. That is the prior alone (Gamma on the rate, shape "
      "{:g}, {:.1f} years;\n  --stop-shape, --stop-years), no finding: points that grow cannot "
      "tell. "
      "Years until it stops: median {},\n  50 % {} to {}, 80 % {} to {}, 95 % {} to {}.\n",
      r.horizon, 100 * stop.chance_within(r.horizon), stop.shape, stop.years, years(0.5),
      years(0.25), years(0.75), years(0.1), years(0.9), years(0.025), years(0.975));
}

std::string level_text(const TrendReport& r) {
  if (!r.level) return "";
  const TrendLevel& l = *r.level;
  const std::string name = fmt::format("Level {:g}{}", l.level,
                                       r.benchmark.empty() ? "" : " of " + plain_text(r.benchmark));
  if (l.reached) {
    return fmt::format("{}: reached already, {}.\n", name, x_text(r.series, *l.reached));
  }
  const auto text = [&](double x) { return x_text(r.series, x); };
  Cells rows = {{"", "median", "50 %", "80 %", "95 %"}};
  add_row(rows, "reached", spread_cells(l.when, text));
  std::string all = name + ", if the trend goes on:\n" + table(rows, 2);
  if (r.series.by_date) {
    all += fmt::format("  by {}: {:.0f} % if the trend goes on, {:.0f} % when growth may stop\n",
                       text(l.by), 100 * l.chance, 100 * l.chance_may_stop);
  }
  return all;
}

ordered_json spread_json(const Spread& spread, auto value) {
  ordered_json json = {{"median", value(spread.median)}};
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    json[fmt::format("interval_{:.0f}", 100 * kLevels[i])] = {value(spread.intervals[i].low),
                                                              value(spread.intervals[i].high)};
  }
  return json;
}

ordered_json place_json(const Series& series, double x) {
  if (!std::isfinite(x)) return ordered_json();
  if (!series.by_date) return number_or_null(std::exp(x));
  return x_text(series, x);
}

ordered_json series_json(const TrendReport& r) {
  const Series& s = r.series;
  ordered_json points = ordered_json::array();
  for (std::size_t i = 0; i < s.points.size(); ++i) {
    points.push_back({{"x", place_json(s, s.points[i].x)},
                      {"y", s.points[i].y},
                      {"label", plain_text(s.labels[i], 120)}});
  }
  return {{"file", plain_text(r.file, 1000)},
          {"title", s.title},
          {"source", s.source},
          {"x_column", s.x_column},
          {"y_column", s.y_column},
          {"unit", s.unit},
          {"where", s.where},
          {"from", s.from},
          {"frontier", s.frontier},
          {"ceiling", s.ceiling ? ordered_json(*s.ceiling) : ordered_json()},
          {"notes", s.notes},
          {"points", std::move(points)}};
}

ordered_json test_json(const Series& series, const TrendBacktest& test) {
  ordered_json rows = ordered_json::array();
  for (const auto& row : test.rows) {
    rows.push_back({{"origin", place_json(series, row.origin)},
                    {"target", place_json(series, row.target)},
                    {"median", row.score.median},
                    {"outcome", row.score.outcome},
                    {"crps", row.score.crps},
                    {"below", row.score.below},
                    {"baselines", row.score.baselines}});
  }
  return {{"of_logarithms", test.of_logarithms},
          {"n_origins", test.n_origins},
          {"spread", test.spread},
          {"scores", scores_json(test.scores)},
          {"lost_to", test.scores.lost_to()},
          {"rows", std::move(rows)}};
}

ordered_json candidates_json(const TrendReport& r) {
  ordered_json all = ordered_json::array();
  for (const Candidate& c : r.trend.candidates) {
    all.push_back({{"form", shape_name(c.shape)},
                   {"fault", c.fault},
                   {"test", c.test ? test_json(r.series, *c.test) : ordered_json()}});
  }
  return all;
}

ordered_json level_json(const TrendReport& r) {
  if (!r.level) return ordered_json();
  const TrendLevel& l = *r.level;
  const auto place = [&](double x) { return place_json(r.series, x); };
  if (l.reached) return {{"level", l.level}, {"reached", place(*l.reached)}};
  return {{"level", l.level},
          {"reached", ordered_json()},
          {"when", spread_json(l.when, place)},
          {"by", place(l.by)},
          {"chance", l.chance},
          {"chance_when_growth_may_stop", l.chance_may_stop}};
}

ordered_json abilities_json(const TrendReport& r) {
  if (!r.abilities) return ordered_json();
  const auto& a = *r.abilities;
  ordered_json benchmarks = ordered_json::array();
  for (std::size_t b = 0; b < a.benchmarks.size(); ++b) {
    benchmarks.push_back({{"name", plain_text(a.benchmarks[b], 120)},
                          {"difficulty", a.fit.difficulty[b]},
                          {"slope", a.fit.slope[b]}});
  }
  return {{"n_models", a.models.size()},
          {"n_scores", a.scores.size()},
          {"error", a.fit.error},
          {"held_out",
           {{"n", a.held_out.n},
            {"error", a.held_out.error},
            {"benchmark_mean_error", a.held_out.benchmark_error},
            {"benchmark_and_model_mean_error", a.held_out.sum_error}}},
          {"benchmarks", std::move(benchmarks)}};
}

}  // namespace

std::string trend_text(const TrendReport& r) {
  std::string text = warning(r) + head(r) + "\n" + form_text(r) + growth_text(r) + "\n" +
                     test_text(r) + "\n" + values_text(r);
  if (r.level) text += "\n" + level_text(r);
  if (r.series.by_date) text += "\n" + stop_text(r);
  if (!r.registered.empty()) {
    text += fmt::format("\nWritten down as {} in {}.\n", r.registered,
                        plain_text(r.register_file, 200));
  }
  if (!r.series.source.empty()) text += "\nData: " + r.series.source + "\n";
  return text;
}

ordered_json trend_json(const TrendReport& r) {
  const Trend& t = r.trend;
  const bool hyperbolic = t.fit.shape().form == TrendForm::kHyperbolic;
  const auto days = [](double years) { return number_or_null(years * forecast::kDaysPerYear); };
  ordered_json values = ordered_json::array();
  for (const TrendValue& v : r.values) {
    values.push_back({{"at", place_json(r.series, v.x)},
                      {"if_the_trend_goes_on", spread_json(v.on, number_or_null)},
                      {"when_growth_may_stop", spread_json(v.may_stop, number_or_null)},
                      {"baselines", v.baselines}});
  }
  ordered_json doubling, fourth;
  if (r.series.by_date && t.fit.shape().form != TrendForm::kLinear) {
    doubling = spread_json(t.doubling(), days);
    doubling["best"] = days(std::numbers::ln2 / std::abs(t.fit.best_slope()));
    doubling["shrinks"] = t.shrinks();
  }
  if (const auto all = t.fit.fourth(); !all.empty()) {
    fourth = spread_json(forecast::spread_of(all), [&](double v) {
      return hyperbolic ? place_json(r.series, v) : number_or_null(v);
    });
  }
  return {{"series", series_json(r)},
          {"form", form_name(t.fit.shape().form)},
          {"form_in_full", shape_name(t.fit.shape())},
          {"why", t.why},
          {"candidates", candidates_json(r)},
          {"r_squared", t.fit.r_squared()},
          {"degrees_of_freedom", t.fit.degrees_of_freedom()},
          {"widened", t.widened},
          {"slope", spread_json(t.slope(), number_or_null)},
          {"doubling_days", doubling},
          {hyperbolic ? "pole" : "ceiling", fourth},
          {"benchmark", plain_text(r.benchmark, 120)},
          {"values", std::move(values)},
          {"level", level_json(r)},
          {"stop",
           {{"shape", t.stop.shape},
            {"years", t.stop.years},
            {"horizon_years", r.horizon},
            {"chance_within_horizon", t.stop.chance_within(r.horizon)},
            {"median_years", number_or_null(t.stop.quantile(0.5))}}},
          {"abilities", abilities_json(r)},
          {"registered", r.registered}};
}

}  // namespace belay::cli
