#include "forecast/outcomes.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "forecast/dates.h"
#include "store/run_record.h"

namespace belay::forecast {
namespace {

using base::Result;
using nlohmann::json;
using store::Forecast;
using store::Outcome;
using store::text_at;
using FoundOutcome = std::optional<Outcome>;

/// The path as it is, or beside the register; empty where neither exists.
std::string find_path(base::Env& env, const std::string& path, const std::string& folder) {
  if (env.exists(path)) return path;
  const std::string beside = base::join_path(folder, path);
  return !path.starts_with('/') && env.exists(beside) ? beside : "";
}

Result<FoundOutcome> outcome_of_run(base::Env& env, const Forecast& forecast,
                                    const std::string& folder) {
  const auto metric = text_at(forecast.target, {"metric"});
  if (!metric || !store::is_run_folder(env, folder)) return FoundOutcome();
  BELAY_ASSIGN_OR_RETURN(const json manifest, store::read_manifest(env, folder));
  if (text_at(manifest, {"status"}) != "done") return FoundOutcome();
  const auto value = store::number_at(manifest, {*metric});
  if (!value) return FoundOutcome();
  const double started = store::number_at(manifest, {"started"}).value_or(env.wall_seconds());
  return FoundOutcome({forecast.id, *value, std::max(0.0, started)});
}

Result<SeriesRequest> request_of(const json& target) {
  SeriesRequest request;
  request.x_column = text_at(target, {"x_column"}).value_or("");
  request.y_column = text_at(target, {"y_column"}).value_or("");
  if (const auto where = target.find("where"); where != target.end() && where->is_array()) {
    for (const json& condition : *where) {
      if (condition.is_string()) request.where.push_back(condition.get<std::string>());
    }
  }
  // All that is possible counts as an outcome, so no bounds: linear and without a ceiling.
  request.ceiling = HUGE_VAL;
  return request;
}

Result<FoundOutcome> outcome_of_series(base::Env& env, const Forecast& forecast,
                                       const std::string& file) {
  const auto at = text_at(forecast.target, {"at"});
  const auto days = at ? parse_date(*at) : std::nullopt;
  if (!days) return FoundOutcome();
  BELAY_ASSIGN_OR_RETURN(const store::CsvTable table, store::read_csv(env, file));
  BELAY_ASSIGN_OR_RETURN(const SeriesRequest request, request_of(forecast.target));
  BELAY_ASSIGN_OR_RETURN(const Series series, read_series(table, request));
  const double x = years_of_days(*days), time = *days * kSecondsPerDay;
  const auto frontier = forecast.target.find("frontier");
  if (frontier != forecast.target.end() && *frontier == true) {
    if (series.points.empty() || series.points.back().x < x) return FoundOutcome();
    double best = -HUGE_VAL;
    for (const Point& p : series.points) {
      if (p.x <= x) best = std::max(best, p.y);
    }
    return std::isfinite(best) ? FoundOutcome({forecast.id, best, time}) : FoundOutcome();
  }
  FoundOutcome found;
  for (const Point& p : series.points) {
    if (p.x != x) continue;
    if (found && found->value != p.y) {
      return base::corrupt({.where = file,
                            .what = "has different values at " + *at,
                            .seen = std::to_string(found->value) + " and " + std::to_string(p.y),
                            .next = "forecast one series (--where) or a frontier"});
    }
    found = {forecast.id, p.y, time};
  }
  return found;
}

}  // namespace

Result<FoundOutcome> look_up_outcome(base::Env& env, const Forecast& forecast,
                                     const std::string& register_folder) {
  if (const auto run = text_at(forecast.target, {"run"})) {
    const std::string folder = find_path(env, *run, register_folder);
    return folder.empty() ? Result<FoundOutcome>(FoundOutcome())
                          : outcome_of_run(env, forecast, folder);
  }
  if (const auto series = text_at(forecast.target, {"series"})) {
    const std::string file = find_path(env, *series, register_folder);
    return file.empty() ? Result<FoundOutcome>(FoundOutcome())
                        : outcome_of_series(env, forecast, file);
  }
  return FoundOutcome();
}

json series_target(const Series& series, const std::string& file, const std::string& at) {
  return {{"series", file},        {"x_column", series.x_column}, {"y_column", series.y_column},
          {"where", series.where}, {"frontier", series.frontier}, {"at", at}};
}

ScoreRow score_registered(const Forecast& forecast, double outcome) {
  ScoreRow row = score(from_percentiles(forecast.quantiles), outcome, forecast.baselines);
  row.median = forecast.median;
  return row;
}

std::optional<ScoreRow> relative(const ScoreRow& row) {
  if (row.outcome == 0) return std::nullopt;
  const double scale = std::abs(row.outcome);
  ScoreRow r = row;
  r.median /= scale;
  r.outcome /= scale;
  r.crps /= scale;
  for (auto& interval : r.intervals) interval = {interval.low / scale, interval.high / scale};
  for (auto& [name, value] : r.baselines) value /= scale;
  return r;
}

}  // namespace belay::forecast
