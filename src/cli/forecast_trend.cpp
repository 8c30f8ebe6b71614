// belay forecast trend: a series over dates (or compute, or cost) from a table, its form chosen by
// a back-test, and what it says of dates, levels and growth.
#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "cli/forecast.h"
#include "cli/forecast_text.h"
#include "cli/trend_report.h"
#include "forecast/dates.h"
#include "forecast/outcomes.h"
#include "store/csv.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using forecast::Spread;
using forecast::TrendForm;
using nlohmann::ordered_json;

struct ForecastTrendArguments {
  std::string file, date_column, x_column, y_column, form = "auto", from, benchmark, register_file;
  std::string level, ceiling;  // numbers, or nothing
  std::vector<std::string> where, at;
  double horizon = 3, stop_shape = 1, stop_years = 0;
  std::uint64_t seed = 0;
  bool logit = false, frontier = false, json = false;
};

Result<std::optional<double>> number_of(const char* option, const std::string& text) {
  if (text.empty()) return std::optional<double>();
  const store::CsvTable one{option, {"value"}, {{text}}, {1}};
  const auto value = one.number(0, 0);
  if (value.ok() && std::isfinite(*value)) return std::optional<double>(*value);
  return base::invalid_argument(
      {.where = option, .what = "is no number", .seen = base::printable(text, 40)});
}

Result<std::optional<TrendForm>> form_of(const std::string& name) {
  if (name == "auto") return std::optional<TrendForm>();
  for (const TrendForm form : {TrendForm::kLinear, TrendForm::kExponential, TrendForm::kLogistic,
                               TrendForm::kHyperbolic}) {
    if (name == form_name(form)) return std::optional<TrendForm>(form);
  }
  return base::invalid_argument({.where = "--form",
                                 .what = "is not known",
                                 .seen = base::printable(name, 40),
                                 .allowed = "auto, linear, exponential, logistic, hyperbolic"});
}

Status check(const ForecastTrendArguments& o) {
  for (const auto& [name, value, least, most] :
       {std::tuple{"--horizon", o.horizon, 0.01, 200.0},
        std::tuple{"--stop-shape", o.stop_shape, 0.01, 100.0},
        std::tuple{"--stop-years", o.stop_years, 0.0, 1000.0}}) {
    BELAY_RETURN_IF_ERROR(check_range(name, value, least, most));
  }
  if (!o.date_column.empty() && !o.x_column.empty()) {
    return base::invalid_argument({.what = "--date-column and --x-column were both given",
                                   .next = "dates, or amounts: name one column"});
  }
  if (!o.register_file.empty() && o.at.empty()) {
    return base::invalid_argument({.where = "--register",
                                   .what = "needs to know what to write down",
                                   .next = "give the date with --at"});
  }
  return {};
}

/// Reads the series, or the abilities of a table of scores.
Result<forecast::Series> read(const store::CsvTable& table, const ForecastTrendArguments& o,
                              std::optional<forecast::Abilities>& abilities) {
  forecast::SeriesRequest request{.x_column = o.x_column.empty() ? o.date_column : o.x_column,
                                  .y_column = o.y_column,
                                  .x_is_date = o.x_column.empty(),
                                  .where = o.where,
                                  .from = o.from,
                                  .logit = o.logit,
                                  .frontier = o.frontier};
  BELAY_ASSIGN_OR_RETURN(request.ceiling, number_of("--ceiling", o.ceiling));
  const bool all_benchmarks =
      forecast::is_score_table(table) && o.y_column.empty() && o.where.empty();
  if (!all_benchmarks) {
    if (!o.benchmark.empty()) {
      return base::invalid_argument(
          {.where = "--benchmark",
           .what = "is for tables of scores of many models on many benchmarks",
           .allowed = "columns benchmark, model_version, release_date, score_fraction"});
    }
    return read_series(table, request);
  }
  BELAY_ASSIGN_OR_RETURN(abilities, read_abilities(table, request));
  return abilities->series;
}

/// Values of the series as values of the benchmark that was asked for: monotone, so that quantiles
/// stay quantiles.
class Scale {
 public:
  explicit Scale(const TrendReport& r, std::optional<std::size_t> benchmark)
      : report_(r), benchmark_(benchmark) {}
  double shown(double value) const {
    return benchmark_ ? report_.abilities->fit.score_of(*benchmark_, value) : value;
  }
  Spread shown(const stats::Draws& draws) const {
    std::vector<double> values;
    for (const double v : draws.sorted()) values.push_back(shown(v));
    return forecast::spread_of(std::move(values));
  }
  double inner(double level) const {
    return benchmark_ ? report_.abilities->fit.ability_for(*benchmark_, level) : level;
  }
  bool bounded() const { return benchmark_.has_value(); }

 private:
  const TrendReport& report_;
  std::optional<std::size_t> benchmark_;
};

Result<std::vector<double>> places(const ForecastTrendArguments& o,
                                   const forecast::Series& series) {
  std::vector<double> all;
  for (const std::string& at : o.at) {
    const auto x = parse_x(series, at);
    if (!x.ok()) return x.status().within("--at");
    all.push_back(*x);
  }
  const double last = series.points.back().x;
  if (all.empty() && series.by_date) {
    all.push_back(last + std::min(1.0, o.horizon));
    if (o.horizon > 1) all.push_back(last + o.horizon);
  } else if (all.empty()) {
    all = {last + std::log(10.0), last + std::log(100.0)};
  }
  return all;
}

Status fill_level(const ForecastTrendArguments& o, const Scale& scale, TrendReport& r) {
  BELAY_ASSIGN_OR_RETURN(const std::optional<double> level, number_of("--level", o.level));
  if (!level) return {};
  const bool fraction = scale.bounded();
  const double top = fraction ? 1 : r.trend.fit.shape().ceiling.value_or(HUGE_VAL);
  if ((fraction || r.trend.fit.shape().form != TrendForm::kLinear) &&
      !(*level > 0 && *level < top)) {
    return base::invalid_argument(
        {.where = "--level",
         .what = "cannot be reached by this series",
         .seen = o.level,
         .allowed = std::isfinite(top) ? fmt::format("above 0, below {:g}", top) : "above 0"});
  }
  const double inner = scale.inner(*level);
  const auto& points = r.series.points;
  TrendLevel result{.level = *level, .by = points.back().x + r.horizon};
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const auto& p : points) {
    const bool crossed = (p.y - inner) * (points.front().y - inner) <= 0;
    if (!result.reached && crossed) result.reached = p.x;
    low = std::min(low, p.y);
    high = std::max(high, p.y);
  }
  if (!result.reached) {
    result.when = r.trend.reach(inner);
    result.chance = r.trend.chance_by(inner, result.by);
    result.chance_may_stop = r.trend.chance_by_with_stop(inner, result.by);
  }
  r.level = result;
  return {};
}

/// The SHA-256 of all that the numbers follow from.
std::string made_from(const TrendReport& r, const ForecastTrendArguments& o) {
  std::string text = fmt::format("{} {} {} {} {}\n", o.form, o.ceiling, o.logit, o.horizon, o.seed);
  for (const auto& p : r.series.points) text += fmt::format("{} {}\n", p.x, p.y);
  return base::sha256_hex(text);
}

/// Writes the value at --at down.
Status write_down(Verbs& verbs, const ForecastTrendArguments& o, TrendReport& r) {
  if (r.abilities || !r.series.by_date || o.at.size() != 1) {
    return base::invalid_argument(
        {.where = "--register",
         .what = "takes the value of one series at one date",
         .next = "give one --at DATE; of a benchmark, --where benchmark=NAME"});
  }
  const double x = r.values[0].x, now = verbs.env.wall_seconds();
  if (forecast::days_of_years(x) * forecast::kSecondsPerDay <= now ||
      x <= r.series.points.back().x) {
    return base::invalid_argument({.where = "--at",
                                   .what = "is past: a forecast is written down before its outcome",
                                   .seen = o.at[0],
                                   .allowed = "a later date than today and than the last point"});
  }
  const stats::Draws prediction = r.trend.fit.value_at(x);
  store::Forecast f{.made = now,
                    .kind = "trend",
                    .target = series_target(r.series, o.file, x_text(r.series, x)),
                    .unit = r.series.unit.empty() ? r.series.y_column : r.series.unit,
                    .made_from = made_from(r, o),
                    .median = prediction.median(),
                    .quantiles = forecast::percentiles(prediction),
                    .baselines = r.values[0].baselines,
                    .n_points = static_cast<std::int64_t>(r.series.points.size()),
                    .note = fmt::format("{}, if the trend goes on; intervals times {:.3f}",
                                        form_name(r.trend.fit.shape().form), r.trend.widened)};
  BELAY_ASSIGN_OR_RETURN(r.registered, store::append_forecast(verbs.env, o.register_file, f));
  r.register_file = o.register_file;
  return {};
}

Result<ExitCode> run(Verbs& verbs, const ForecastTrendArguments& o) {
  BELAY_RETURN_IF_ERROR(check(o));
  BELAY_ASSIGN_OR_RETURN(const store::CsvTable table, store::read_csv(verbs.env, o.file));
  std::optional<forecast::Abilities> abilities;
  BELAY_ASSIGN_OR_RETURN(forecast::Series series, read(table, o, abilities));
  forecast::TrendOptions options{.ceiling = series.ceiling,
                                 .by_date = series.by_date,
                                 .linear = abilities.has_value(),
                                 .horizon = o.horizon,
                                 .stop_shape = o.stop_shape,
                                 .stop_years = o.stop_years,
                                 .seed = o.seed};
  BELAY_ASSIGN_OR_RETURN(options.form, form_of(o.form));
  auto trend = fit_trend(series.points, options);
  if (!trend.ok()) return trend.status().within(o.file);
  TrendReport r{.file = o.file,
                .series = std::move(series),
                .trend = std::move(*trend),
                .horizon = o.horizon,
                .abilities = std::move(abilities),
                .benchmark = o.benchmark};
  std::optional<std::size_t> benchmark;
  if (!o.benchmark.empty()) {
    BELAY_ASSIGN_OR_RETURN(benchmark, r.abilities->benchmark(o.benchmark));
  }
  const Scale scale(r, benchmark);
  BELAY_ASSIGN_OR_RETURN(const std::vector<double> xs, places(o, r.series));
  const auto* test = r.trend.test();
  const bool logs = test != nullptr
                        ? test->of_logarithms
                        : r.trend.fit.shape().form != TrendForm::kLinear && !r.series.ceiling;
  for (const double x : xs) {
    TrendValue value{x, scale.shown(r.trend.fit.value_at(x)),
                     scale.shown(r.trend.value_at_with_stop(x)),
                     baselines_at(r.series.points, x, logs, r.series.ceiling)};
    for (auto& [name, baseline] : value.baselines) baseline = scale.shown(baseline);
    r.values.push_back(std::move(value));
  }
  BELAY_RETURN_IF_ERROR(fill_level(o, scale, r));
  if (!o.register_file.empty()) BELAY_RETURN_IF_ERROR(write_down(verbs, o, r));
  if (o.json) {
    print_json(trend_json(r));
  } else {
    std::fputs(trend_text(r).c_str(), stdout);
  }
  return ExitCode::kDone;
}

}  // namespace

void add_forecast_trend(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<ForecastTrendArguments>();
  ForecastTrendArguments& o = *options;
  Verb verb = verbs.add(
      parent,
      {.name = "trend",
       .about = "Where a series goes: doubling time, dates of levels, values, with intervals",
       .examples = {"forecast trend metr_time_horizons.csv --from 2023-01-01 --level 10000",
                    "forecast trend swebench_leaderboards.csv --level 90 --json",
                    "forecast trend prices.csv --date-column day --y-column usd --at 2028-01-01 "
                    "--register forecasts.jsonl"}},
      [&verbs, options] { return run(verbs, *options); });
  verb.option("file", o.file,
              "Table as CSV; those that the field shares are known by their columns")
      .required()
      .type("FILE.csv");
  verb.option("--date-column", o.date_column, "Column of dates, YYYY-MM-DD").type("C");
  verb.option("--x-column", o.x_column,
              "Column of amounts (compute, cost) in place of dates: a power law")
      .type("C");
  verb.option("--y-column", o.y_column, "Column of values").type("C");
  verb.option("--where", o.where, "Only rows with this value in this column; may be given again")
      .one_at_a_time()
      .type("C=VALUE");
  verb.option("--from", o.from, "Only rows of this date or later").type("DATE");
  verb.flag("--frontier", o.frontier, "Only values that beat all before (the state of the art)");
  verb.flag("--logit", o.logit, "Values are fractions or percentages, which saturate");
  verb.option("--ceiling", o.ceiling, "Where values saturate; else 1 or 100 by what they are")
      .type("Y");
  verb.option("--form", o.form,
              "auto (by a back-test), linear, exponential, logistic or hyperbolic");
  verb.option("--benchmark", o.benchmark, "Of a table of many benchmarks: the one to predict")
      .type("NAME");
  verb.option("--level", o.level, "When is this value reached?").type("Y");
  verb.option("--at", o.at, "The value at this date (or amount); may be given again")
      .one_at_a_time()
      .type("X");
  verb.option("--horizon", o.horizon, "Years ahead, of the back-test and of chances");
  verb.option("--stop-shape", o.stop_shape,
              "Prior of the time when growth stops: shape of the Gamma");
  verb.option("--stop-years", o.stop_years, "Likewise: its years; 0: the age of the trend");
  verb.option("--seed", o.seed, "Of the draws");
  verb.option("--register", o.register_file, "Write the value at --at down in this file")
      .type("FILE");
  verb.flag("--json", o.json, "Print one JSON document");
}

}  // namespace belay::cli
