#include "report/climb_series.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "report/parts.h"
#include "report/series.h"

namespace belay::report {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxCurves = 16;
constexpr int kCurvePoints = 60;

/// Sizes within a percent are one.
std::vector<double> sizes_of(const Climb& climb) {
  std::vector<double> all;
  for (const Rung& rung : climb.rungs) {
    if (rung.params) all.push_back(*rung.params);
  }
  std::sort(all.begin(), all.end());
  std::vector<double> sizes;
  for (const double n : all) {
    if (sizes.empty() || n > 1.01 * sizes.back()) sizes.push_back(n);
  }
  return sizes;
}

std::size_t size_index(const std::vector<double>& sizes, double n) {
  const auto above = std::upper_bound(sizes.begin(), sizes.end(), n);
  return above == sizes.begin() ? 0 : static_cast<std::size_t>(above - sizes.begin()) - 1;
}

ordered_json points_of(const Climb& climb, const std::vector<double>& sizes) {
  ordered_json points = ordered_json::array();
  for (const Rung& rung : climb.rungs) {
    if (!rung.loss) continue;
    points.push_back({{"name", rung.name},
                      {"n", rounded(rung.params)},
                      {"d", rounded(rung.tokens)},
                      {"c", rounded(rung.flops)},
                      {"loss", rounded(rung.loss)},
                      {"law", rounded(rung.law)},
                      {"size", rung.params ? size_index(sizes, *rung.params) : 0},
                      {"row", rounded(rung.row)},
                      {"excluded", !rung.excluded.empty()}});
  }
  return points;
}

/// The law between two places of a logarithmic axis.
template <class Loss>
ordered_json curve(double from, double to, Loss loss) {
  ordered_json points = ordered_json::array();
  for (int i = 0; i < kCurvePoints; ++i) {
    const double x = from * std::pow(to / from, static_cast<double>(i) / (kCurvePoints - 1));
    points.push_back({rounded(x), rounded(loss(x))});
  }
  return points;
}

struct Range {
  double least = 0, most = 0;
  void add(double value) {
    least = least == 0 ? value : std::min(least, value);
    most = std::max(most, value);
  }
};

/// Runs of equal compute. Rows of a ladder that costs little come first.
ordered_json rows_of(const Climb& climb) {
  struct Row {
    Range n;
    double log_flops = 0;
    int n_rungs = 0;
  };
  std::map<double, Row> rows;
  for (const Rung& rung : climb.rungs) {
    if (!rung.row || !rung.params || !rung.flops || !rung.loss) continue;
    Row& row = rows[*rung.row];
    row.n.add(*rung.params);
    row.log_flops += std::log(*rung.flops);
    ++row.n_rungs;
  }
  std::vector<std::pair<double, Row>> list(rows.begin(), rows.end());
  ordered_json out = ordered_json::array();
  for (const std::size_t i : spread(list.size(), kMaxCurves)) {
    const Row& row = list[i].second;
    const double flops = std::exp(row.log_flops / row.n_rungs);
    ordered_json one = {{"row", list[i].first}, {"c", rounded(flops)}};
    if (climb.law) {
      const forecast::Optimum best = climb.law->optimum(flops);
      one["best"] = {rounded(best.n_params), rounded(best.loss), rounded(best.n_tokens)};
      one["curve"] = curve(row.n.least / 1.3, row.n.most * 1.3,
                           [&](double n) { return climb.law->loss_at(flops, n); });
    }
    out.push_back(std::move(one));
  }
  return out;
}

ordered_json lines_of(const Climb& climb, const std::vector<double>& sizes) {
  ordered_json lines = ordered_json::array();
  if (!climb.law) return lines;
  std::vector<Range> tokens(sizes.size());
  for (const Rung& rung : climb.rungs) {
    if (rung.params && rung.tokens && rung.loss) {
      tokens[size_index(sizes, *rung.params)].add(*rung.tokens);
    }
  }
  for (const std::size_t i : spread(sizes.size(), kMaxCurves)) {
    if (tokens[i].most == 0) continue;
    lines.push_back({{"size", i},
                     {"curve", curve(tokens[i].least / 1.3, tokens[i].most * 1.3,
                                     [&](double d) { return climb.law->loss(sizes[i], d); })}});
  }
  return lines;
}

ordered_json next_of(const nlohmann::json& document) {
  ordered_json next = {{"c", rounded(size_at(document, {"next", "flops"}))},
                       {"n", rounded(size_at(document, {"next", "params"}))},
                       {"d", rounded(size_at(document, {"next", "tokens"}))},
                       {"loss", rounded(size_at(document, {"next", "outcome", "val_loss"}))}};
  for (const char* name :
       {"median", "low80", "high80", "low95", "high95", "no_change", "straight_line"}) {
    next[name] = rounded(size_at(document, {"next", "forecast", name}));
  }
  return next;
}

void add_frontier(ordered_json& out, const Climb& climb) {
  Range flops;
  for (const Rung& rung : climb.rungs) {
    if (rung.flops && rung.loss) flops.add(*rung.flops);
  }
  const nlohmann::json& document = climb.document;
  const auto next = size_at(document, {"next", "flops"}, 1);
  const bool ran = size_at(document, {"next", "outcome", "val_loss"}).has_value();
  double known = flops.most;
  if (next && ran) known = std::max(known, *next);
  out["known"] = rounded(known);
  out["frontier"] = ordered_json::array();
  if (!climb.law || flops.most == 0) return;
  const double last = size_at(document, {"beyond", "flops"}, 1).value_or(10 * next.value_or(known));
  const auto add = [&](double from, double to) {
    for (int i = 0; i < kCurvePoints; ++i) {
      const double x = from * std::pow(to / from, static_cast<double>(i) / (kCurvePoints - 1));
      const forecast::Optimum best = climb.law->optimum(x);
      out["frontier"].push_back(
          {rounded(x), rounded(best.loss), rounded(best.n_params), rounded(best.n_tokens)});
    }
  };
  add(flops.least, known);
  if (last > known) add(known, last);
}

}  // namespace

ordered_json climb_series(const Climb& climb) {
  const std::vector<double> sizes = sizes_of(climb);
  ordered_json out = {{"sizes", ordered_json::array()}};
  for (const double n : sizes) out["sizes"].push_back(rounded(n));
  out["rungs"] = points_of(climb, sizes);
  out["rows"] = rows_of(climb);
  out["lines"] = lines_of(climb, sizes);
  add_frontier(out, climb);
  out["next"] = next_of(climb.document);
  out["beyond"] = {{"c", rounded(size_at(climb.document, {"beyond", "flops"}))}};
  for (const char* name : {"median", "low80", "high80", "params", "tokens"}) {
    out["beyond"][name] = rounded(size_at(climb.document, {"beyond", name}));
  }
  return out;
}

}  // namespace belay::report
