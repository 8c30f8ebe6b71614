#include "cli/compute_comparison.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/columns.h"

namespace belay::cli {
namespace {

using forecast::ComputeMultiplier;
using forecast::Curve;
using forecast::Multiplier;
using nlohmann::ordered_json;
using store::RunRecord;

std::optional<double> seed_of(const RunRecord& run) {
  return store::number_at(run.manifest, {"seed"});
}

/// Members by ascending seed, so that equal seeds stand at equal places.
RunGroup by_seed(const std::vector<RunRecord>& runs, RunGroup group) {
  std::stable_sort(group.members.begin(), group.members.end(), [&](std::size_t a, std::size_t b) {
    return seed_of(runs[a]).value_or(0) < seed_of(runs[b]).value_or(0);
  });
  return group;
}

bool same_seeds(const std::vector<RunRecord>& runs, const RunGroup& a, const RunGroup& b) {
  return std::equal(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(),
                    [&](std::size_t x, std::size_t y) {
                      return seed_of(runs[x]) && seed_of(runs[x]) == seed_of(runs[y]);
                    });
}

/// The curves of a group; empty when one has no points.
std::vector<Curve> curves_of(const std::vector<Curve>& all, const RunGroup& group) {
  std::vector<Curve> curves;
  for (const std::size_t i : group.members) {
    if (all[i].empty()) return {};
    curves.push_back(all[i]);
  }
  return curves;
}

ordered_json multiplier_json(const Multiplier& m) {
  return {{"multiplier", m.value},
          {"low", m.interval ? ordered_json(m.interval->low) : ordered_json()},
          {"high", m.interval ? ordered_json(m.interval->high) : ordered_json()}};
}

ordered_json level_json(const forecast::MultiplierAt& level) {
  ordered_json j = {{"loss", level.loss}, {"flops_first", level.flops_a}, {"flops", level.flops_b}};
  j.update(multiplier_json(level.multiplier));
  return j;
}

ordered_json against_json(const ComputeComparison::Against& other, const ordered_json& names) {
  ordered_json j = {{"runs", names}, {"paired", other.paired}};
  if (!other.multiplier) {
    j["levels"] = ordered_json::array();
    j["final"] = j["median"] = nullptr;
    return j;
  }
  for (const forecast::MultiplierAt& level : other.multiplier->levels) {
    j["levels"].push_back(level_json(level));
  }
  j["final"] = level_json(other.multiplier->levels.back());
  j["median"] = multiplier_json(other.multiplier->median);
  return j;
}

ordered_json curve_json(const Curve& curve) {
  ordered_json flops = ordered_json::array(), loss = ordered_json::array();
  for (const forecast::CurvePoint& p : curve) {
    flops.push_back(p.flops);
    loss.push_back(p.loss);
  }
  return {{"flops", std::move(flops)}, {"loss", std::move(loss)}};
}

/// "1.43", or "1.43 (1.31 to 1.60)".
std::string multiplier_text(const Multiplier& m) {
  if (!m.interval) return fmt::format("{:.3g}", m.value);
  return fmt::format("{:.3g} ({:.3g} to {:.3g})", m.value, m.interval->low, m.interval->high);
}

std::string table_text(const ComputeComparison& c, const ComputeComparison::Against& other) {
  std::vector<std::vector<std::string>> cells = {
      {"loss", "FLOPs of " + c.first.name, "FLOPs of " + other.group.name, "ratio"}};
  for (const forecast::MultiplierAt& level : other.multiplier->levels) {
    cells.push_back({fmt::format("{:.4f}", level.loss), base::count_text(level.flops_a),
                     base::count_text(level.flops_b), multiplier_text(level.multiplier)});
  }
  return table(cells);
}

std::string against_text(const ComputeComparison& c, const ComputeComparison::Against& other) {
  if (!other.multiplier) {
    return fmt::format("\n{} and {}: there is no loss that all of them came down to\n",
                       c.first.name, other.group.name);
  }
  const ComputeMultiplier& m = *other.multiplier;
  return fmt::format(
      "\n{}{} takes {} times the compute of {} to the last of these losses, {} in the median\n",
      table_text(c, other), other.group.name, multiplier_text(m.levels.back().multiplier),
      c.first.name, multiplier_text(m.median));
}

}  // namespace

base::Result<ComputeComparison> compare_compute(const std::vector<RunRecord>& runs,
                                                const std::vector<RunGroup>& groups) {
  ComputeComparison c;
  BELAY_ASSIGN_OR_RETURN(c.curves, report::compute_curves(runs));
  c.first = by_seed(runs, groups[0]);
  const std::vector<Curve> first = curves_of(c.curves.curves, c.first);
  for (std::size_t g = 1; g < groups.size(); ++g) {
    ComputeComparison::Against other{by_seed(runs, groups[g]), false, {}};
    other.paired = same_seeds(runs, c.first, other.group);
    const std::vector<Curve> curves = curves_of(c.curves.curves, other.group);
    if (!first.empty() && !curves.empty()) {
      other.multiplier = forecast::compute_multiplier(first, curves, {.paired = other.paired},
                                                      base::Rng(1, base::Purpose::kBootstrap));
    }
    c.others.push_back(std::move(other));
  }
  return c;
}

ordered_json compute_json(const ComputeComparison& c, const std::vector<store::RunRow>& rows) {
  const auto names = [&](const RunGroup& group) {
    ordered_json all = ordered_json::array();
    for (const std::size_t i : group.members) all.push_back(rows[i].name);
    return all;
  };
  ordered_json curves = ordered_json::array(), others = ordered_json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    curves.push_back(curve_json(c.curves.curves[i]));
    curves.back()["run"] = rows[i].name;
  }
  for (const auto& other : c.others) others.push_back(against_json(other, names(other.group)));
  return {{"measure", c.curves.validation ? "validation" : "training"},
          {"unit", c.curves.bits_per_byte ? "bits per byte" : "nats per token"},
          {"other_training_text", c.curves.other_training_text},
          {"trailing_mean_ratio",
           c.curves.validation ? ordered_json() : ordered_json(report::kSmoothingRatio)},
          {"first", names(c.first)},
          {"against", std::move(others)},
          {"curves", std::move(curves)}};
}

std::string compute_text(const ComputeComparison& c) {
  std::string text = fmt::format("\ncompute at equal {}{}\n", c.curves.measure(),
                                 c.curves.validation ? "" : ", as a trailing mean");
  if (c.curves.bits_per_byte) text += "the data or the vocabularies differ: hence bits per byte\n";
  if (c.curves.other_training_text) {
    text +=
        "the training texts differ, and with them what a training loss means: let the runs\n"
        "validate on the way (--eval-steps) to compare them\n";
  }
  for (const auto& other : c.others) text += against_text(c, other);
  return text;
}

}  // namespace belay::cli
