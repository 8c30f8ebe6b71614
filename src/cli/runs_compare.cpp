#include "cli/runs_compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/compute_comparison.h"
#include "cli/runs_parts.h"
#include "store/run_record.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::json;
using nlohmann::ordered_json;
using store::number_at;
using store::RunRecord;
using store::RunRow;

/// The value of a measure at (or last before) so many tokens.
std::optional<double> at_tokens(const RunRecord& run, std::string_view name, double tokens) {
  std::optional<double> last;
  for (const json& line : run.metrics) {
    if (number_at(line, {"tokens"}).value_or(0) > tokens) break;
    if (const auto value = number_at(line, {name})) last = value;
  }
  return last;
}

std::string option_text(const json& manifest, const std::string& name) {
  const auto options = manifest.find("options");
  if (options == manifest.end() || !options->is_object() || !options->contains(name)) return "-";
  const json& value = (*options)[name];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Options that are not the same in all runs, --out left out.
std::vector<std::string> differing_options(const std::vector<RunRecord>& runs) {
  std::set<std::string> names, differ;
  for (const RunRecord& run : runs) {
    const auto options = run.manifest.find("options");
    if (options == run.manifest.end() || !options->is_object()) continue;
    for (const auto& [name, value] : options->items()) names.insert(name);
  }
  names.erase("out");
  for (const std::string& name : names) {
    for (const RunRecord& run : runs) {
      if (option_text(run.manifest, name) != option_text(runs[0].manifest, name)) {
        differ.insert(name);
      }
    }
  }
  return {differ.begin(), differ.end()};
}

ordered_json comparison_json(const std::vector<RunRecord>& runs, const std::vector<RunRow>& rows,
                             const std::vector<std::string>& options, double common) {
  ordered_json all = ordered_json::array();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    ordered_json one = row_json(rows[i]);
    ordered_json differing = ordered_json::object();
    for (const std::string& name : options) {
      differing[name] = option_text(runs[i].manifest, name);
    }
    one["differing_options"] = std::move(differing);
    one["loss_at_common_tokens"] = number_json(at_tokens(runs[i], "loss", common));
    all.push_back(std::move(one));
  }
  return {{"common_tokens", common}, {"runs", std::move(all)}};
}

std::string comparison_text(const std::vector<RunRecord>& runs, const std::vector<RunRow>& rows,
                            const std::vector<std::string>& options, double common) {
  std::vector<std::vector<std::string>> cells;
  const auto add = [&](std::string name, const auto& text) {
    cells.push_back({std::move(name)});
    for (std::size_t i = 0; i < runs.size(); ++i) cells.back().push_back(text(i));
  };
  add("run", [&](std::size_t i) { return plain(rows[i].name, 24); });
  add("status", [&](std::size_t i) { return plain(rows[i].status, 12); });
  add("parameters", [&](std::size_t i) { return count(rows[i].parameters); });
  add("tokens", [&](std::size_t i) { return count(rows[i].tokens); });
  add("FLOPs", [&](std::size_t i) { return count(rows[i].flops); });
  add("time", [&](std::size_t i) { return duration(rows[i].seconds); });
  add("tokens a second", [&](std::size_t i) { return count(rows[i].tokens_per_second); });
  add("loss at the end", [&](std::size_t i) { return fixed(rows[i].loss); });
  add("loss at " + base::count_text(common) + " tokens",
      [&](std::size_t i) { return fixed(at_tokens(runs[i], "loss", common)); });
  add("val_loss", [&](std::size_t i) { return fixed(rows[i].val_loss); });
  add("val_bpb", [&](std::size_t i) { return fixed(rows[i].val_bpb); });
  for (const std::string& name : options) {
    add("--" + plain(name, 24),
        [&](std::size_t i) { return plain(option_text(runs[i].manifest, name), 24); });
  }
  return table(cells);
}

/// "a,b,c" as its parts.
std::vector<std::string> parts_of(const std::string& names) {
  std::vector<std::string> parts(1);
  for (const char c : names) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The point that a run's end is of a curve.
json end_of(const RunRecord& run) {
  json end = json::object();
  for (const char* name : {"tokens", "flops", "val_loss", "val_bpb"}) {
    if (const auto value = number_at(run.manifest, {name})) end[name] = *value;
  }
  return end;
}

/// Runs of one seed are one training at several lengths: the longest stands for them, and the ends
/// of all are its curve.
std::vector<RunRecord> join_lengths(std::vector<RunRecord> runs) {
  std::map<double, std::vector<RunRecord>> of_seed;
  for (RunRecord& run : runs) {
    of_seed[number_at(run.manifest, {"seed"}).value_or(0)].push_back(std::move(run));
  }
  std::vector<RunRecord> joined;
  for (auto& [seed, lengths] : of_seed) {
    std::stable_sort(lengths.begin(), lengths.end(), [](const RunRecord& a, const RunRecord& b) {
      return number_at(a.manifest, {"flops"}).value_or(0) <
             number_at(b.manifest, {"flops"}).value_or(0);
    });
    std::vector<json> ends;
    for (const RunRecord& run : lengths) ends.push_back(end_of(run));
    if (lengths.size() > 1) lengths.back().metrics = std::move(ends);
    joined.push_back(std::move(lengths.back()));
  }
  return joined;
}

}  // namespace

Result<ExitCode> compare_runs(Verbs& verbs, const std::string& folder_of_runs,
                              const std::vector<std::string>& names, bool as_json) {
  if (names.size() < 2) {
    return base::invalid_argument({.where = "belay runs compare",
                                   .what = "needs two runs or more",
                                   .seen = std::to_string(names.size()),
                                   .next = "belay runs compare A B"});
  }
  std::vector<RunRecord> runs;
  std::vector<RunRow> rows;
  std::vector<RunGroup> groups;
  double common = HUGE_VAL;
  for (const std::string& name : names) {
    std::vector<RunRecord> group;
    for (const std::string& part : parts_of(name)) {
      BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, folder_of_runs, part));
      BELAY_ASSIGN_OR_RETURN(group.emplace_back(), store::read_run(verbs.env, folder));
    }
    groups.emplace_back();
    for (RunRecord& run : join_lengths(std::move(group))) {
      rows.push_back(store::run_row(verbs.env, run.folder));
      common = std::min(common, rows.back().tokens.value_or(0));
      groups.back().members.push_back(runs.size());
      runs.push_back(std::move(run));
    }
  }
  for (RunGroup& group : groups) {
    group.name = plain(rows[group.members[0]].name, 24);
    if (group.members.size() > 1) group.name += fmt::format(" +{}", group.members.size() - 1);
  }
  BELAY_ASSIGN_OR_RETURN(const ComputeComparison compute, compare_compute(runs, groups));
  const std::vector<std::string> options = differing_options(runs);
  if (as_json) {
    ordered_json document = comparison_json(runs, rows, options, common);
    document["compute"] = compute_json(compute, rows);
    print_json(document);
  } else {
    std::fputs(comparison_text(runs, rows, options, common).c_str(), stdout);
    std::fputs(compute_text(compute).c_str(), stdout);
  }
  return ExitCode::kDone;
}

}  // namespace belay::cli
