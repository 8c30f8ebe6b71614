// belay forecast loss: a scaling law fitted to a table of runs, with its intervals, what the next
// compute brings, and how good such forecasts were on runs held out.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/forecast.h"
#include "cli/forecast_loss_report.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

constexpr int kForecastResamples = 400;  // each gives several draws

struct ForecastLossArguments {
  std::string file;
  forecast::LossColumns columns;
  double budget = 0, flops_factor = 6, ahead = 8, window = 0;
  int bootstrap = 1000, threads = 0;
  std::int64_t drop_highest = -1;
  std::uint64_t seed = 1;
  std::string form = "auto", against;
  std::vector<std::string> against_where;
  bool json = false;
};

Result<forecast::LossFitOptions> fit_options(const ForecastLossArguments& o) {
  BELAY_RETURN_IF_ERROR(check_range("--bootstrap", o.bootstrap, 20, 100'000));
  BELAY_RETURN_IF_ERROR(check_range("--budget", o.budget, 0, 1e36));
  BELAY_RETURN_IF_ERROR(check_range("--flops-factor", o.flops_factor, 0.1, 1000));
  BELAY_RETURN_IF_ERROR(check_range("--ahead", o.ahead, 2, 1e6));
  BELAY_RETURN_IF_ERROR(check_range("--window", o.window, 0, 1e12));
  BELAY_RETURN_IF_ERROR(check_range("--threads", o.threads, 0, 1024));
  BELAY_RETURN_IF_ERROR(
      check_range("--drop-highest", static_cast<double>(o.drop_highest), -1, 1000));
  forecast::LossFitOptions options{
      .n_resamples = o.bootstrap, .seed = o.seed, .flops_factor = o.flops_factor};
  if (o.form == "plain") options.form = forecast::LossForm::kPlain;
  if (o.form == "repeats") options.form = forecast::LossForm::kRepeats;
  if (!options.form && o.form != "auto") {
    return base::invalid_argument({.where = "--form",
                                   .what = "is no form of the law",
                                   .seen = base::printable(o.form),
                                   .allowed = "auto, plain, repeats"});
  }
  return options;
}

/// The same law fitted to the other rows, at the lowest loss that both tables reach.
Result<LawComparison> comparison_of(Verbs& verbs, base::ThreadPool& threads,
                                    const ForecastLossArguments& o, const forecast::LossFit& law) {
  const std::string path = o.against.empty() ? o.file : o.against;
  BELAY_ASSIGN_OR_RETURN(const store::CsvTable csv, store::read_csv(verbs.env, path));
  forecast::LossColumns columns = o.columns;
  columns.where = o.against_where;
  BELAY_ASSIGN_OR_RETURN(const forecast::LossTable table,
                         forecast::loss_table(csv, columns, o.flops_factor));
  forecast::LossFitOptions options = law.options;
  options.drop_highest = table.drop_highest;
  BELAY_ASSIGN_OR_RETURN(const forecast::LossFit other,
                         forecast::fit_loss(threads, table.points, options));
  const auto lowest = [](const forecast::LossFit& fit) {
    double least = HUGE_VAL;
    for (const forecast::LossPoint& p : fit.points) least = std::min(least, p.loss);
    return least;
  };
  LawComparison found{.other = path, .loss = std::max(lowest(law), lowest(other))};
  for (const std::string& where : o.against_where) found.other += " " + where;
  const auto times = [&](const forecast::LossLaw& a, const forecast::LossLaw& b) {
    const auto own = forecast::compute_at(a, found.loss, o.flops_factor);
    const auto needed = forecast::compute_at(b, found.loss, o.flops_factor);
    return own && needed ? *needed / *own : std::nan("");
  };
  std::vector<double> all;
  for (std::size_t i = 0; i < law.resampled.size(); ++i) {
    const double t = times(law.resampled[i], other.resampled[i]);
    if (std::isfinite(t)) all.push_back(t);
  }
  found.times = times(law.law, other.law);
  if (!std::isfinite(found.times) || all.empty()) {
    return base::invalid_argument({.where = "--against",
                                   .what = "no loss is reached by both laws",
                                   .next = "compare runs of the same data and vocabulary"});
  }
  found.interval = {stats::quantile(all, 0.025), stats::quantile(all, 0.975)};
  return found;
}

/// Of the largest run, of ten times that, and of what was asked for.
std::vector<BudgetForecast> forecast_budgets(const LossStudy& study,
                                             const ForecastLossArguments& o) {
  double most = 0;
  for (const forecast::LossPoint& p : study.law.points) most = std::max(most, p.flops);
  std::vector<double> budgets = {most, 10 * most};
  if (o.budget > 0) budgets.push_back(o.budget);
  std::vector<BudgetForecast> all;
  for (const double flops : budgets) {
    const auto best = forecast::optimum(study.law.law, flops, o.flops_factor);
    all.push_back(
        {flops, best, forecast::predict_loss(study.next, best.n_params, best.n_tokens, 0, o.seed)});
  }
  return all;
}

Result<LossStudy> study_of(Verbs& verbs, const ForecastLossArguments& o) {
  BELAY_ASSIGN_OR_RETURN(forecast::LossFitOptions options, fit_options(o));
  BELAY_ASSIGN_OR_RETURN(const store::CsvTable csv, store::read_csv(verbs.env, o.file));
  LossStudy study;
  study.file = o.file;
  BELAY_ASSIGN_OR_RETURN(study.table, forecast::loss_table(csv, o.columns, o.flops_factor));
  base::ThreadPool threads(o.threads > 0 ? o.threads : base::usable_cpus());
  options.drop_highest =
      o.drop_highest >= 0 ? static_cast<std::size_t>(o.drop_highest) : study.table.drop_highest;
  forecast::LossFitOptions alike = options;
  alike.compute_weight = 0;
  BELAY_ASSIGN_OR_RETURN(study.law, forecast::fit_loss(threads, study.table.points, alike));
  options.drop_highest = 0;
  options.form = study.law.form;
  options.n_resamples = std::min(o.bootstrap, kForecastResamples);
  BELAY_ASSIGN_OR_RETURN(study.next, forecast::fit_loss(threads, study.law.points, options));
  study.intervals = forecast::loss_intervals(threads, study.law);
  auto isoflop =
      forecast::fit_isoflop(study.law.points, {.seed = o.seed, .flops_factor = o.flops_factor});
  if (isoflop.ok()) study.isoflop = std::move(*isoflop);
  if (!isoflop.ok()) study.no_isoflop = isoflop.status().message();
  const auto backtest = forecast::backtest_loss(threads, study.law.points, options,
                                                {.ahead = o.ahead, .window = o.window});
  if (backtest.ok()) study.backtest = *backtest;
  if (!backtest.ok()) study.no_backtest = backtest.status().message();
  study.budgets = forecast_budgets(study, o);
  if (!o.against.empty() || !o.against_where.empty()) {
    BELAY_ASSIGN_OR_RETURN(study.comparison, comparison_of(verbs, threads, o, study.law));
  }
  return study;
}

Result<ExitCode> run(Verbs& verbs, const ForecastLossArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const LossStudy study, study_of(verbs, o));
  if (o.json) {
    print_json(loss_json(study));
  } else {
    std::fputs(loss_text(study).c_str(), stdout);
  }
  return ExitCode::kDone;
}

void add_columns(Verb verb, forecast::LossColumns& columns) {
  const auto add = [&](const char* name, std::string& value, const char* about) {
    verb.option(name, value, about)
        .type("COLUMN")
        .group("Columns, where their names are not the usual");
  };
  add("--params-column", columns.params, "Parameters of the model");
  add("--tokens-column", columns.tokens, "Tokens trained on; may be absent where FLOPs are there");
  add("--flops-column", columns.flops, "FLOPs of the run; else --flops-factor N D");
  add("--loss-column", columns.loss, "The loss at the end, of held-out text if there is one");
  add("--unique-column", columns.unique, "Unique tokens, where tokens repeat");
}

}  // namespace

void add_forecast_loss(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<ForecastLossArguments>();
  ForecastLossArguments& o = *options;
  Verb verb = verbs.add(
      parent,
      {.name = "loss",
       .about =
           "Fit L = E + A/N^alpha + B/D^beta to a table of runs, and say what more compute brings",
       .examples = {"forecast loss runs.csv", "forecast loss runs.csv --budget 1e20 --json",
                    "forecast loss runs.csv --where dataset=books --loss-column val_loss",
                    "forecast loss runs.csv --where data=a --against-where data=b"}},
      [&verbs, options] { return run(verbs, *options); });
  verb.option("file", o.file, "Comma-separated, a line a run: parameters, tokens or FLOPs, loss")
      .required()
      .type("FILE.csv");
  verb.option("--where", o.columns.where, "Only rows with this value in this column")
      .type("COLUMN=VALUE")
      .one_at_a_time();
  verb.option("--budget", o.budget, "FLOPs to find the best model for").type("FLOPS");
  verb.option("--bootstrap", o.bootstrap, "Resamples of the runs, for intervals");
  verb.option("--seed", o.seed, "Of the resamples");
  verb.option("--form", o.form, "plain, repeats (tokens seen again count for less), or auto");
  verb.option("--drop-highest", o.drop_highest,
              "Leave out so many runs of highest loss; -1: as the "
              "users of a known table do");
  verb.option("--flops-factor", o.flops_factor, "FLOPs of a run over parameters times tokens");
  verb.option("--ahead", o.ahead, "Back-test: how many times the fitted compute is forecast");
  verb.option("--window", o.window,
              "Back-test: fit only runs within so many times less compute; 0: all smaller ones");
  verb.option("--against", o.against, "Another table, to compare the compute for an equal loss")
      .type("FILE.csv");
  verb.option("--against-where", o.against_where, "Its rows (without --against: of the same file)")
      .type("COLUMN=VALUE")
      .one_at_a_time();
  verb.option("--threads", o.threads, "0: as many as are usable");
  verb.flag("--json", o.json, "Print one JSON document");
  add_columns(verb, o.columns);
}

}  // namespace belay::cli
