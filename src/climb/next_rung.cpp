#include "climb/next_rung.h"

#include <fmt/core.h>

#include <cmath>
#include <map>

#include "base/hash.h"
#include "forecast/frontier.h"
#include "forecast/loss_backtest.h"
#include "forecast/loss_intervals.h"
#include "forecast/loss_law.h"

namespace belay::climb {
namespace {

using base::Result;
using forecast::FrontierRow;
using forecast::LossFit;
using forecast::LossPoint;
using nlohmann::ordered_json;

constexpr double kBeyond = 10;

std::vector<LossPoint> points_of(const ordered_json& rungs, double unique_tokens) {
  std::vector<LossPoint> points;
  for (const ordered_json& r : rungs) {
    if (r.contains("excluded")) continue;
    points.push_back({.n_params = r["params"].get<double>(),
                      .n_tokens = r["tokens"].get<double>(),
                      .loss = r["val_loss"].get<double>(),
                      .unique_tokens = std::min(unique_tokens, r["tokens"].get<double>()),
                      .flops = r["flops"].get<double>(),
                      .name = r["name"].get<std::string>()});
  }
  return points;
}

ordered_json parameter_json(const forecast::ParameterInterval& p) {
  ordered_json json = {{"value", p.value}, {"low", p.resampled.low}, {"high", p.resampled.high}};
  if (!p.identified) json["identified"] = false;
  return json;
}

forecast::LossFitOptions fit_options(const NextOptions& o) {
  forecast::LossFitOptions options;
  options.n_resamples = o.resamples;
  // Rungs differ by 0.3 to 0.5 % from seed to seed, without outliers: a width of 1.345 deviations
  // weighs such errors best (Huber, 1964), and eleven of them lie nearer to a law by chance only.
  options.huber = 5e-3;
  options.scatter = 4e-3;
  return options;
}

/// How forecasts inside the ladder fared; null when it is too small to be parted.
ordered_json held_out_json(base::ThreadPool& threads, const LossFit& fit) {
  const auto tested = forecast::backtest_loss(threads, fit.points, fit.options);
  if (!tested.ok() || tested->n_forecasts == 0) return nullptr;
  return {{"n", tested->n_forecasts},
          {"median_error_percent", 100 * tested->law.error},
          {"coverage_80", tested->within80},
          {"crps", tested->law.crps},
          {"crps_no_change", tested->no_change.crps},
          {"crps_straight_line", tested->line.crps}};
}

ordered_json fit_json(base::ThreadPool& threads, const LossFit& fit, const ordered_json& rungs) {
  const forecast::LossIntervals intervals = forecast::loss_intervals(threads, fit);
  ordered_json json = {{"form", forecast::form_text(fit.form)}};
  for (const forecast::ParameterInterval& p : intervals.parameters) {
    json[std::string(p.name)] = parameter_json(p);
  }
  if (fit.law.r_star) json["r_star"] = *fit.law.r_star;
  json["a"] = {{"value", intervals.params_exponent},
               {"low", intervals.params_exponent_interval.low},
               {"high", intervals.params_exponent_interval.high}};
  json["n_points"] = fit.points.size();
  ordered_json excluded = ordered_json::array();
  for (const ordered_json& r : rungs) {
    if (r.contains("excluded"))
      excluded.push_back({{"name", r["name"]}, {"reason", r["excluded"]}});
  }
  for (const std::string& reason : fit.excluded) excluded.push_back({{"reason", reason}});
  json["excluded"] = std::move(excluded);
  if (ordered_json held_out = held_out_json(threads, fit); !held_out.is_null()) {
    json["held_out"] = std::move(held_out);
  }
  return json;
}

/// The best of each row, by rising compute; of a rung of several seeds their mean.
std::vector<FrontierRow> best_of_rows(const std::vector<LossPoint>& points,
                                      const ordered_json& rungs) {
  std::map<std::string, std::int64_t> rows;
  for (const ordered_json& r : rungs) rows[r["name"]] = r["row"].get<std::int64_t>();
  struct Mean {
    double loss = 0, flops = 0, n = 0;
  };
  std::map<std::int64_t, std::map<std::pair<double, double>, Mean>> means;  // by row and size
  for (const LossPoint& p : points) {
    Mean& mean = means[rows[p.name]][{p.n_params, p.n_tokens}];
    mean.loss += p.loss;
    mean.flops += p.flops;
    mean.n += 1;
  }
  std::vector<FrontierRow> best;
  for (const auto& [row, sizes] : means) {
    FrontierRow kept{0, HUGE_VAL};
    for (const auto& [size, mean] : sizes) {
      if (mean.loss / mean.n < kept.loss) kept = {mean.flops / mean.n, mean.loss / mean.n};
    }
    best.push_back(kept);
  }
  return best;
}

/// Nothing changes: the best loss of the largest compute. A straight line: log loss over log
/// compute through the best rung of each row.
std::map<std::string, double> baselines_of(const std::vector<FrontierRow>& best, double flops) {
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  const auto n = static_cast<double>(best.size());
  for (const FrontierRow& row : best) {
    const double x = std::log(row.flops), y = std::log(row.loss);
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  const double spread = n * sxx - sx * sx;
  const double slope = spread > 0 ? (n * sxy - sx * sy) / spread : 0;
  return {{"no change", best.back().loss},
          {"straight line", std::exp((sy - slope * sx) / n + slope * std::log(flops))}};
}

/// The shape whose loss the law says is lowest at so much compute, and what a run of it costs.
Result<std::pair<Shape, RunCost>> best_shape(const forecast::LossLaw& law, const NextOptions& o,
                                             const Measure& measure) {
  std::pair<Shape, RunCost> best;
  double least = HUGE_VAL;
  // By sizes that are near enough; what a run of the chosen one costs is measured.
  for (const Shape& shape : shapes()) {
    const double params = params_of(shape);
    const double tokens = o.flops / (6 * params);
    const double loss = law.loss(params, tokens, std::min(tokens, o.unique_tokens));
    if (loss >= least) continue;
    least = loss;
    best.first = shape;
  }
  BELAY_ASSIGN_OR_RETURN(best.second, measure(best.first));
  return best;
}

ordered_json part_json(const stats::Draws& draws, double weight) {
  const stats::Interval in = draws.interval(0.8);
  return {{"median", draws.median()}, {"low80", in.low}, {"high80", in.high}, {"weight", weight}};
}

/// The law's forecast and that of the best rungs of each row, as one; the law's alone where the
/// rows are too few. "parts" says what each was.
stats::Draws combined(const stats::Draws& by_law, const std::vector<FrontierRow>& best,
                      double flops, double scatter, ordered_json& parts) {
  const auto by_rows = forecast::predict_frontier(best, flops, {.scatter = scatter});
  if (!by_rows) return by_law;
  stats::Combined both = stats::combine(by_law, *by_rows);
  parts = {{"law", part_json(by_law, both.weight)},
           {"best_of_rows", part_json(*by_rows, 1 - both.weight)}};
  return std::move(both.draws);
}

void add_intervals(const stats::Draws& draws, ordered_json& json) {
  json["median"] = draws.median();
  for (const auto& [name, level] : {std::pair{"50", 0.5}, {"80", 0.8}, {"95", 0.95}}) {
    const stats::Interval in = draws.interval(level);
    json[std::string("low") + name] = in.low;
    json[std::string("high") + name] = in.high;
  }
}

store::Forecast entry_of(const stats::Draws& draws, const ordered_json& rungs,
                         const ordered_json& rung) {
  store::Forecast entry;
  entry.kind = "loss";
  entry.target = {{"run", "rungs/" + rung["name"].get<std::string>()}, {"metric", "val_loss"}};
  entry.unit = "nats per token";
  std::string from;
  for (const ordered_json& r : rungs) {
    from += fmt::format("{} {} {} {}\n", r["name"].get<std::string>(), r["params"].get<double>(),
                        r["tokens"].get<double>(), r.value("val_loss", 0.0));
  }
  entry.made_from = base::sha256_hex(from);
  entry.median = draws.median();
  for (std::size_t q = 1; q <= store::kForecastQuantiles; ++q) {
    entry.quantiles.push_back(draws.quantile(static_cast<double>(q) / 100));
  }
  return entry;
}

}  // namespace

Result<NextForecast> forecast_next(base::ThreadPool& threads, const ordered_json& rungs,
                                   const NextOptions& o, const Measure& measure) {
  const std::vector<LossPoint> points = points_of(rungs, o.unique_tokens);
  BELAY_ASSIGN_OR_RETURN(const LossFit fit, forecast::fit_loss(threads, points, fit_options(o)));
  BELAY_ASSIGN_OR_RETURN(const auto best, best_shape(fit.law, o, measure));
  const auto& [shape, cost] = best;
  const double step_flops = cost.flops_per_token * static_cast<double>(cost.batch_tokens);
  const auto steps = std::max<std::int64_t>(1, std::llround(o.flops / step_flops));
  const double tokens = static_cast<double>(steps * cost.batch_tokens);
  const double unique = std::min(tokens, o.unique_tokens);
  const std::vector<FrontierRow> best_rungs = best_of_rows(fit.points, rungs);
  ordered_json parts;
  const stats::Draws draws =
      combined(forecast::predict_loss(fit, cost.params, tokens, unique), best_rungs,
               tokens * cost.flops_per_token, fit.options.scatter / std::sqrt(o.n_seeds), parts);

  NextForecast next;
  next.fit = fit_json(threads, fit, rungs);
  next.rung = {{"name", rung_name(shape, steps, o.first_seed)},
               {"depth", shape.depth},
               {"width", shape.width},
               {"steps", steps},
               {"params", cost.params},
               {"tokens", tokens},
               {"flops", tokens * cost.flops_per_token},
               {"unique_tokens", unique},
               {"seconds", tokens / cost.tokens_per_second * o.n_seeds}};
  next.entry = entry_of(draws, rungs, next.rung);
  next.entry.baselines = baselines_of(best_rungs, o.flops);
  next.entry.n_points = static_cast<std::int64_t>(fit.points.size());
  ordered_json said = ordered_json::object();
  add_intervals(draws, said);
  said["no_change"] = next.entry.baselines["no change"];
  said["straight_line"] = next.entry.baselines["straight line"];
  if (!parts.is_null()) said["parts"] = std::move(parts);
  next.rung["forecast"] = std::move(said);
  return next;
}

ordered_json score_next(const store::Forecast& forecast, double loss) {
  const stats::Draws draws(forecast.quantiles);
  const stats::Interval in = draws.interval(0.8);
  const auto off = [&](const char* baseline) {
    return std::abs(forecast.baselines.at(baseline) - loss);
  };
  return {{"val_loss", loss},
          {"error_percent", 100 * (forecast.median - loss) / loss},
          {"inside_80", in.low <= loss && loss <= in.high},
          {"crps", draws.crps(loss)},
          {"crps_no_change", off("no change")},
          {"crps_straight_line", off("straight line")}};
}

ordered_json look_beyond(base::ThreadPool& threads, const ordered_json& climb,
                         const NextOptions& o) {
  const ordered_json& next = climb["next"];
  std::vector<LossPoint> points = points_of(climb["rungs"], o.unique_tokens);
  points.push_back({.n_params = next["params"].get<double>(),
                    .n_tokens = next["tokens"].get<double>(),
                    .loss = next["outcome"]["val_loss"].get<double>(),
                    .unique_tokens = next["unique_tokens"].get<double>(),
                    .flops = next["flops"].get<double>(),
                    .name = next["name"].get<std::string>()});
  const auto fit = forecast::fit_loss(threads, points, fit_options(o));
  if (!fit.ok()) return nullptr;
  const double flops = kBeyond * next["flops"].get<double>();
  const forecast::Optimum best = forecast::optimum(fit->law, flops);
  const double unique = std::min(best.n_tokens, o.unique_tokens);
  ordered_json json = {{"flops", flops}, {"params", best.n_params}, {"tokens", best.n_tokens}};
  add_intervals(forecast::predict_loss(*fit, best.n_params, best.n_tokens, unique), json);
  const double bits =
      next["outcome"]["val_bpb"].get<double>() / next["outcome"]["val_loss"].get<double>();
  json["val_bpb_median"] = json["median"].get<double>() * bits;
  return json;
}

ordered_json seed_deviation_percent(const ordered_json& rungs) {
  std::map<std::pair<double, double>, std::vector<double>> same;  // by parameters and tokens
  for (const ordered_json& r : rungs) {
    if (r.contains("excluded")) continue;
    same[{r["params"].get<double>(), r["tokens"].get<double>()}].push_back(
        std::log(r["val_loss"].get<double>()));
  }
  double squares = 0, freedom = 0;
  for (const auto& [rung, losses] : same) {
    double mean = 0;
    for (const double l : losses) mean += l / static_cast<double>(losses.size());
    for (const double l : losses) squares += (l - mean) * (l - mean);
    freedom += static_cast<double>(losses.size()) - 1;
  }
  if (freedom <= 0) return nullptr;
  return 100 * std::sqrt(squares / freedom);
}

}  // namespace belay::climb
