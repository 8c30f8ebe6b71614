#include "cli/forecast_loss_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace belay::cli {
namespace {

using forecast::BacktestScore;
using forecast::LossBacktest;
using forecast::ParameterInterval;
using nlohmann::ordered_json;

constexpr double kLevel = 0.8;  // of forecasts; numbers of the law have 95 %
constexpr double kSmaller[] = {2, 4, 8};

ordered_json interval_json(double value, const stats::Interval& in) {
  return {{"value", value}, {"low", in.low}, {"high", in.high}};
}

ordered_json score_json(const BacktestScore& score) {
  return {{"median_error", score.error}, {"crps", score.crps}};
}

ordered_json backtest_json(const LossStudy& study) {
  if (!study.backtest) return {{"missing", study.no_backtest}};
  const LossBacktest& b = *study.backtest;
  return {{"fits", b.n_fits},
          {"forecasts", b.n_forecasts},
          {"times_compute", {b.least_ahead, b.most_ahead}},
          {"law", score_json(b.law)},
          {"no_change", score_json(b.no_change)},
          {"straight_line", score_json(b.line)},
          {"within_50", b.within50},
          {"within_80", b.within80},
          {"within_95", b.within95}};
}

ordered_json isoflop_json(const LossStudy& study) {
  if (!study.isoflop) return {{"missing", study.no_isoflop}};
  const forecast::Isoflop& iso = *study.isoflop;
  ordered_json rows = ordered_json::array();
  for (const auto& o : iso.optima) {
    rows.push_back({{"flops", o.flops},
                    {"points", o.n_points},
                    {"params", interval_json(o.n_params, o.params_interval)},
                    {"tokens", o.n_tokens},
                    {"loss", o.loss}});
  }
  const stats::Interval& a = iso.params_interval;
  return {{"optima", std::move(rows)},
          {"left_out", iso.left_out},
          {"a", interval_json(iso.params_exponent, a)},
          {"b", interval_json(1 - iso.params_exponent, {1 - a.high, 1 - a.low})}};
}

ordered_json budget_json(const LossStudy& study, const BudgetForecast& b) {
  const stats::Interval middle = b.loss.interval(kLevel), wide = b.loss.interval(0.95);
  ordered_json over = ordered_json::array();
  for (const double times : kSmaller) {
    const auto o =
        forecast::overtrained(study.law.law, b.flops, times, study.law.options.flops_factor);
    over.push_back({{"times_smaller", times},
                    {"params", o.n_params},
                    {"tokens", o.n_tokens},
                    {"loss", o.loss},
                    {"times_compute", o.compute}});
  }
  return {{"flops", b.flops},
          {"params", b.best.n_params},
          {"tokens", b.best.n_tokens},
          {"loss",
           {{"median", b.loss.median()},
            {"low_80", middle.low},
            {"high_80", middle.high},
            {"low_95", wide.low},
            {"high_95", wide.high}}},
          {"overtrained", std::move(over)}};
}

/// The kinds of forecast that were better on the runs held out.
std::string beaten_by(const LossStudy& study) {
  if (!study.backtest) return {};
  const LossBacktest& b = *study.backtest;
  std::string text;
  if (b.no_change.crps < b.law.crps) text = "\"nothing changes\"";
  if (b.line.crps < b.law.crps)
    text += (text.empty() ? "" : " and ") + std::string("a straight line");
  return text;
}

std::string percent(double part) { return fmt::format("{:.2f} %", 100 * part); }

std::string parameter_text(const ParameterInterval& p) {
  const auto number = [&](double v) {
    return p.name == "A" || p.name == "B" ? fmt::format("{:.4g}", v) : fmt::format("{:.4f}", v);
  };
  const auto range = [&](const stats::Interval& in) {
    return number(in.low) + " to " + number(in.high);
  };
  if (!p.identified) {
    return fmt::format("  {:<6}  not identified by these points: any of {} fits them\n", p.name,
                       range(p.profile));
  }
  return fmt::format("  {:<6}  {:>10}  {:>20}  {:>20}\n", p.name, number(p.value),
                     range(p.resampled), range(p.profile));
}

std::string table_text(const LossStudy& study) {
  const auto& points = study.law.points;
  const auto range = [&](double forecast::LossPoint::*value) {
    const auto [low, high] =
        std::minmax_element(points.begin(), points.end(),
                            [&](const auto& a, const auto& b) { return a.*value < b.*value; });
    return std::pair((*low).*value, (*high).*value);
  };
  const auto n = range(&forecast::LossPoint::n_params), d = range(&forecast::LossPoint::n_tokens);
  const auto c = range(&forecast::LossPoint::flops), l = range(&forecast::LossPoint::loss);
  std::string text = fmt::format(
      "{}: {} runs of {} to {} parameters, {} to {} tokens, {:.3g} to {:.3g} FLOPs; loss {:.4f} to "
      "{:.4f} (column {})\n",
      study.file, points.size(), base::count_text(n.first), base::count_text(n.second),
      base::count_text(d.first), base::count_text(d.second), c.first, c.second, l.first, l.second,
      base::printable(study.table.columns.loss, 40));
  if (!study.table.note.empty()) text += "  " + study.table.note + "\n";
  constexpr std::size_t kMost = 12;
  for (std::size_t i = 0; i < std::min(kMost, study.law.excluded.size()); ++i) {
    text += "  left out: " + study.law.excluded[i] + "\n";
  }
  if (study.law.excluded.size() > kMost) {
    text += fmt::format("  left out: {} more\n", study.law.excluded.size() - kMost);
  }
  return text;
}

std::string law_text(const LossStudy& study) {
  std::string text = fmt::format("\nL = {}, every run alike\n  {:<6}  {:>10}  {:>20}  {:>20}\n",
                                 forecast::form_text(study.law.form), "", "value",
                                 "95 % of resamples", "95 % by likelihood");
  for (const ParameterInterval& p : study.intervals.parameters) text += parameter_text(p);
  const stats::Interval& a = study.intervals.params_exponent_interval;
  const auto exponent = [](std::string_view name, double v, double low, double high,
                           std::string_view means) {
    return fmt::format("  {:<6}  {:>10.4f}  {:>20}  {}\n", name, v,
                       fmt::format("{:.4f} to {:.4f}", low, high), means);
  };
  const double value = study.intervals.params_exponent;
  text += exponent("a", value, a.low, a.high, "best parameters ~ compute^a");
  text += exponent("b", 1 - value, 1 - a.high, 1 - a.low, "best tokens ~ compute^b");
  if (study.law.law.r_star && study.intervals.r_star) {
    text += exponent("R*", *study.law.law.r_star, study.intervals.r_star->low,
                     study.intervals.r_star->high, "repetitions until a token has told 63 %");
  }
  for (const forecast::FormScore& f : study.law.forms) {
    text += fmt::format("  held out, the largest runs: off by {} with {}\n", percent(f.error),
                        forecast::form_text(f.form));
  }
  return text;
}

std::string isoflop_text(const LossStudy& study) {
  if (!study.isoflop) return "\nno runs of equal compute to compare: " + study.no_isoflop + "\n";
  const forecast::Isoflop& iso = *study.isoflop;
  std::string text =
      fmt::format("\nruns of equal compute\n  {:>10}  {:>5}  {:>12}  {:>20}  {:>10}  {:>7}\n",
                  "FLOPs", "runs", "parameters", "95 %", "tokens", "loss");
  for (const auto& o : iso.optima) {
    text += fmt::format(
        "  {:>10.3g}  {:>5}  {:>12}  {:>20}  {:>10}  {:>7.4f}\n", o.flops, o.n_points,
        base::count_text(o.n_params),
        base::count_text(o.params_interval.low) + " to " + base::count_text(o.params_interval.high),
        base::count_text(o.n_tokens), o.loss);
  }
  for (const std::string& why : iso.left_out) text += "  left out: " + why + "\n";
  return text + fmt::format("  best parameters ~ compute^{:.3f} (95 %: {:.3f} to {:.3f})\n",
                            iso.params_exponent, iso.params_interval.low, iso.params_interval.high);
}

std::string backtest_text(const LossStudy& study) {
  if (!study.backtest) return "\nno back-test: " + study.no_backtest + "\n";
  const LossBacktest& b = *study.backtest;
  const auto row = [](std::string_view name, const BacktestScore& s) {
    return fmt::format("  {:<18}  {:>12}  {:>8.4f}\n", name, percent(s.error), s.crps);
  };
  return fmt::format(
             "\nhow good such forecasts were here: {} fits to the smaller runs, {} forecasts of "
             "runs "
             "of {:.1f} to {:.1f} times their compute\n  {:<18}  {:>12}  {:>8}\n",
             b.n_fits, b.n_forecasts, b.least_ahead, b.most_ahead, "", "median error", "CRPS") +
         row("the law", b.law) + row("nothing changes", b.no_change) +
         row("a straight line", b.line) +
         fmt::format("  intervals of 50, 80, 95 % held {:.0f}, {:.0f}, {:.0f} % of the outcomes\n",
                     100 * b.within50, 100 * b.within80, 100 * b.within95);
}

std::string budgets_text(const LossStudy& study) {
  std::string text =
      fmt::format("\nthe best use of compute\n  {:>10}  {:>12}  {:>10}  {:>7}  {:>18}\n", "FLOPs",
                  "parameters", "tokens", "loss", "80 %");
  for (const BudgetForecast& b : study.budgets) {
    const stats::Interval in = b.loss.interval(kLevel);
    text += fmt::format("  {:>10.3g}  {:>12}  {:>10}  {:>7.4f}  {:>18}\n", b.flops,
                        base::count_text(b.best.n_params), base::count_text(b.best.n_tokens),
                        b.loss.median(), fmt::format("{:.4f} to {:.4f}", in.low, in.high));
  }
  const BudgetForecast& asked = study.budgets.back();
  for (const double times : kSmaller) {
    const auto o =
        forecast::overtrained(study.law.law, asked.flops, times, study.law.options.flops_factor);
    text += fmt::format(
        "  a model {:.0f} times smaller than the best for {:.3g} FLOPs: loss {:+.4f}; {:.2f} times "
        "the "
        "compute that the best needs for it\n",
        times, asked.flops, o.loss - asked.best.loss, o.compute);
  }
  const BudgetForecast &now = study.budgets[0], &next = study.budgets[1];
  const stats::Interval in = next.loss.interval(kLevel);
  text += fmt::format(
      "\nThe next 10 times of compute, {:.3g} FLOPs, bring the loss from {:.4f} to {:.4f} (80 %: "
      "{:.4f} to {:.4f}).\n",
      next.flops, now.loss.median(), next.loss.median(), in.low, in.high);
  return text;
}

std::string comparison_text(const LossStudy& study) {
  if (!study.comparison) return {};
  const LawComparison& c = *study.comparison;
  return fmt::format(
      "\nFor a loss of {:.4f}, {} needs {:.2f} times the compute (95 %: {:.2f} to {:.2f}).\n",
      c.loss, c.other, c.times, c.interval.low, c.interval.high);
}

}  // namespace

nlohmann::ordered_json loss_json(const LossStudy& study) {
  ordered_json document = {{"file", study.file}, {"form", forecast::form_text(study.law.form)}};
  for (const ParameterInterval& p : study.intervals.parameters) {
    ordered_json one = interval_json(p.value, p.resampled);
    one["profile_low"] = p.profile.low;
    one["profile_high"] = p.profile.high;
    one["identified"] = p.identified;
    document[std::string(p.name)] = std::move(one);
  }
  const double a = study.intervals.params_exponent;
  const stats::Interval& in = study.intervals.params_exponent_interval;
  document["a"] = interval_json(a, in);
  document["b"] = interval_json(1 - a, {1 - in.high, 1 - in.low});
  if (study.law.law.r_star && study.intervals.r_star) {
    document["r_star"] = interval_json(*study.law.law.r_star, *study.intervals.r_star);
  }
  ordered_json forms = ordered_json::array();
  for (const forecast::FormScore& f : study.law.forms) {
    forms.push_back({{"form", forecast::form_text(f.form)}, {"held_out_error", f.error}});
  }
  document["forms"] = std::move(forms);
  document["n_points"] = study.law.points.size();
  document["excluded"] = study.law.excluded;
  document["note"] = study.table.note;
  document["beaten_by"] = beaten_by(study);
  document["backtest"] = backtest_json(study);
  document["isoflop"] = isoflop_json(study);
  ordered_json budgets = ordered_json::array();
  for (const BudgetForecast& b : study.budgets) budgets.push_back(budget_json(study, b));
  document["budgets"] = std::move(budgets);
  if (study.comparison) {
    const LawComparison& c = *study.comparison;
    document["against"] = {{"other", c.other},
                           {"loss", c.loss},
                           {"times_compute", interval_json(c.times, c.interval)}};
  }
  return document;
}

std::string loss_text(const LossStudy& study) {
  std::string text;
  if (const std::string better = beaten_by(study); !better.empty()) {
    text = "On the runs held out " + better +
           " forecast better than the law: do not rely on its forecasts.\n\n";
  }
  return text + table_text(study) + law_text(study) + isoflop_text(study) + backtest_text(study) +
         budgets_text(study) + comparison_text(study);
}

}  // namespace belay::cli
