// belay forecast score: forecasts that were written down, beside what then came.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/columns.h"
#include "cli/forecast.h"
#include "cli/forecast_text.h"
#include "forecast/dates.h"
#include "forecast/outcomes.h"

namespace belay::cli {
namespace {

using base::Result;
using forecast::ScoreRow;
using nlohmann::ordered_json;
using store::Forecast;
using store::Outcome;
using store::Register;

struct ForecastScoreArguments {
  std::string path;
  bool json = false;
};

/// A forecast and what is known of it.
struct Row {
  const Forecast* forecast = nullptr;
  const Outcome* outcome = nullptr;
  bool late = false;  // made after its outcome could be known: shown, not counted
  std::optional<ScoreRow> score;
};

/// Appends the outcomes that have come since; a target that cannot be read is told, and waits.
base::Status collect(Verbs& verbs, const std::string& path, const Register& known) {
  for (const Forecast& f : known.forecasts) {
    if (known.outcome_of(f.id) != nullptr) continue;
    const auto outcome = forecast::look_up_outcome(verbs.env, f, base::parent_dir(path));
    if (!outcome.ok()) {
      verbs.log.warn("forecast {}: {}", f.id, outcome.status().message());
    } else if (*outcome) {
      BELAY_RETURN_IF_ERROR(store::append_outcome(verbs.env, path, **outcome));
    }
  }
  return {};
}

std::vector<Row> rows_of(const Register& content) {
  std::vector<Row> rows;
  for (const Forecast& f : content.forecasts) {
    Row row{&f, content.outcome_of(f.id), false, {}};
    if (row.outcome != nullptr) {
      row.late = f.made > row.outcome->time;
      row.score = forecast::score_registered(f, row.outcome->value);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// What can be counted, as shares of the outcome.
std::optional<forecast::Scores> totals(const std::vector<Row>& rows) {
  std::vector<ScoreRow> counted;
  for (const Row& row : rows) {
    if (!row.score || row.late) continue;
    if (auto share = forecast::relative(*row.score)) counted.push_back(std::move(*share));
  }
  if (counted.empty()) return std::nullopt;
  return forecast::summarize(counted);
}

std::string target_text(const Forecast& f) {
  std::string text;
  for (const char* key : {"run", "series", "benchmark", "metric", "y_column", "at"}) {
    const auto value = f.target.find(key);
    if (value == f.target.end() || !value->is_string()) continue;
    text += (text.empty() ? "" : " ") + plain_text(value->get<std::string>(), 40);
  }
  return text.empty() ? plain_text(f.target.dump(), 40) : text;
}

std::string day(double seconds) { return forecast::date_text(seconds / forecast::kSecondsPerDay); }

std::vector<std::string> cells_of(const Row& row) {
  const Forecast& f = *row.forecast;
  std::vector<std::string> cells = {
      f.id, target_text(f), day(f.made), fmt::format("{:.4g}", f.median),
      fmt::format("{:.4g} to {:.4g}", f.quantiles[9], f.quantiles[89])};
  if (!row.score) {
    cells.push_back("not yet");
    return cells;
  }
  const ScoreRow& s = *row.score;
  cells.push_back(fmt::format("{:.4g}", s.outcome));
  cells.push_back(row.late ? "too late" : s.inside(1) ? "yes" : "no");
  cells.push_back(s.outcome == 0 ? "-"
                                 : fmt::format("{:+.1f} %",
                                               100 * (s.median - s.outcome) / std::abs(s.outcome)));
  cells.push_back(fmt::format("{:.4g}", s.crps));
  for (const char* name : {"no change", "straight line"}) {
    const auto value = f.baselines.find(name);
    cells.push_back(value == f.baselines.end()
                        ? "-"
                        : fmt::format("{:.4g}", std::abs(value->second - s.outcome)));
  }
  return cells;
}

std::string report_text(const Register& content, const std::vector<Row>& rows,
                        const std::optional<forecast::Scores>& all) {
  std::string text;
  if (!all) {
    text += "No forecast has an outcome that counts yet.\n";
  } else if (all->lost_to().empty()) {
    text += fmt::format("Of {} forecast{} with outcomes: no baseline did better.\n", all->n,
                        all->n == 1 ? "" : "s");
  } else {
    for (const std::string& name : all->lost_to()) {
      text += fmt::format("LOSES: over {} forecast{} with outcomes, \"{}\" did better.\n", all->n,
                          all->n == 1 ? "" : "s", plain_text(name));
    }
  }
  std::vector<std::vector<std::string>> cells = {{"forecast", "of", "made", "median", "80 %",
                                                  "outcome", "inside", "error", "CRPS", "no change",
                                                  "straight line"}};
  for (const Row& row : rows) cells.push_back(cells_of(row));
  text += table(cells, 2);
  text += "  (no change, straight line: their absolute errors, to be held against CRPS)\n";
  if (all) text += scores_text(*all, "as a share of the outcome");
  const auto late = std::count_if(rows.begin(), rows.end(), [](const Row& r) { return r.late; });
  if (late > 0) {
    text += fmt::format("  {} made after the outcome could be known: not counted\n", late);
  }
  return text + fmt::format("Head of the register: {}\n", content.head);
}

ordered_json row_json(const Row& row) {
  const Forecast& f = *row.forecast;
  ordered_json json = {{"id", f.id},
                       {"kind", f.kind},
                       {"target", ordered_json(f.target)},
                       {"unit", f.unit},
                       {"made", f.made},
                       {"made_from", f.made_from},
                       {"n_points", f.n_points},
                       {"median", f.median},
                       {"interval_80", {f.quantiles[9], f.quantiles[89]}},
                       {"baselines", f.baselines},
                       {"note", f.note},
                       {"outcome", ordered_json()}};
  if (!row.score) return json;
  json["outcome"] = row.score->outcome;
  json["time"] = row.outcome->time;
  json["late"] = row.late;
  json["inside_50"] = row.score->inside(0);
  json["inside_80"] = row.score->inside(1);
  json["inside_95"] = row.score->inside(2);
  json["error"] = row.score->median - row.score->outcome;
  json["crps"] = row.score->crps;
  return json;
}

Result<ExitCode> run(Verbs& verbs, const ForecastScoreArguments& o) {
  const std::string path =
      verbs.env.is_directory(o.path) ? base::join_path(o.path, "forecasts.jsonl") : o.path;
  if (!verbs.env.exists(path)) {
    return base::not_found({.where = path,
                            .what = "is no register of forecasts: it does not exist",
                            .next = "belay forecast trend --register FILE writes one"});
  }
  BELAY_ASSIGN_OR_RETURN(const Register before, store::read_register(verbs.env, path));
  if (before.torn) verbs.log.warn("{}: the last line is half written and left out", path);
  BELAY_RETURN_IF_ERROR(collect(verbs, path, before));
  BELAY_ASSIGN_OR_RETURN(const Register content, store::read_register(verbs.env, path));
  const std::vector<Row> rows = rows_of(content);
  const std::optional<forecast::Scores> all = totals(rows);
  if (!o.json) {
    std::fputs(report_text(content, rows, all).c_str(), stdout);
    return ExitCode::kDone;
  }
  ordered_json list = ordered_json::array(), lost = ordered_json::array();
  for (const Row& row : rows) list.push_back(row_json(row));
  if (all) lost = all->lost_to();
  print_json({{"register", path},
              {"head", content.head},
              {"lost_to", std::move(lost)},
              {"scores", all ? scores_json(*all) : ordered_json()},
              {"forecasts", std::move(list)}});
  return ExitCode::kDone;
}

}  // namespace

void add_forecast_score(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<ForecastScoreArguments>();
  ForecastScoreArguments& o = *options;
  Verb verb =
      verbs.add(parent,
                {.name = "score",
                 .about = "Forecasts that were written down, scored by what came",
                 .examples = {"forecast score forecasts.jsonl", "forecast score climb/ --json"}},
                [&verbs, options] { return run(verbs, *options); });
  verb.option("register", o.path,
              "The register, or a folder that holds forecasts.jsonl; outcomes "
              "that have come are added to it")
      .required()
      .type("REGISTER|FOLDER");
  verb.flag("--json", o.json, "Print one JSON document");
}

}  // namespace belay::cli
