// belay runs: lists, shows and compares run folders, and writes a run's report again.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/verbs.h"
#include "report/parts.h"
#include "report/run_report.h"
#include "store/run_index.h"
#include "store/run_record.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::json;
using nlohmann::ordered_json;
using store::number_at;
using store::RunRecord;
using store::RunRow;
using store::text_at;

struct Options {
  std::string runs = "runs", run;
  std::vector<std::string> names;
  bool json = false;
};

/// Text from a file as a terminal may see it.
std::string plain(std::string_view text, std::size_t most = 60) {
  const std::string quoted = base::printable(text, most);
  return quoted.substr(1, quoted.size() - 2);
}

std::string count(std::optional<double> value) { return value ? base::count_text(*value) : "-"; }
std::string fixed(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : "-";
}
std::string duration(std::optional<double> value) {
  return value ? base::duration_text(*value) : "-";
}

ordered_json number_json(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json();
}

ordered_json row_json(const RunRow& row) {
  return {{"name", row.name},
          {"kind", row.kind},
          {"status", row.status},
          {"data", row.data},
          {"started", number_json(row.started)},
          {"parameters", number_json(row.parameters)},
          {"steps", number_json(row.steps)},
          {"tokens", number_json(row.tokens)},
          {"flops", number_json(row.flops)},
          {"seconds", number_json(row.seconds)},
          {"tokens_per_second", number_json(row.tokens_per_second)},
          {"loss", number_json(row.loss)},
          {"val_loss", number_json(row.val_loss)},
          {"val_bpb", number_json(row.val_bpb)},
          {"error", row.error}};
}

/// A run by its path, or by its name below --runs.
Result<std::string> find_run(base::Env& env, const Options& o, const std::string& name) {
  if (store::is_run_folder(env, name)) return name;
  const std::string below = base::join_path(o.runs, name);
  if (store::is_run_folder(env, below)) return below;
  return base::not_found(
      {.where = base::printable(name),
       .what = "is no run: neither it nor " + base::printable(below) + " holds a run.json",
       .next = "belay runs list shows those that there are"});
}

Result<ExitCode> list(Verbs& verbs, const Options& o) {
  BELAY_ASSIGN_OR_RETURN(const std::vector<RunRow> rows, store::scan_runs(verbs.env, o.runs));
  if (const base::Status written = store::write_run_index(verbs.env, o.runs, rows); !written.ok()) {
    verbs.log.warn("the index is not renewed: {}", written.message());
  }
  if (o.json) {
    ordered_json all = ordered_json::array();
    for (const RunRow& row : rows) all.push_back(row_json(row));
    print_json({{"runs", std::move(all)}});
    return ExitCode::kDone;
  }
  std::vector<std::vector<std::string>> cells = {
      {"run", "status", "parameters", "tokens", "time", "loss", "val_loss", "val_bpb", "started"}};
  for (const RunRow& row : rows) {
    cells.push_back({plain(row.name), plain(row.status, 12), count(row.parameters),
                     count(row.tokens), duration(row.seconds), fixed(row.loss), fixed(row.val_loss),
                     fixed(row.val_bpb), report::utc_text(row.started)});
  }
  std::fputs(table(cells).c_str(), stdout);
  return ExitCode::kDone;
}

/// An object's plain fields, each on a line.
void print_fields(const json& manifest, const char* key) {
  const auto object = manifest.find(key);
  if (object == manifest.end() || !object->is_object() || object->empty()) return;
  fmt::print("{}\n", key);
  for (const auto& [name, value] : object->items()) {
    if (value.is_structured()) continue;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    fmt::print("  {:<20}  {}\n", plain(name), plain(text, 200));
  }
}

Result<ExitCode> show(Verbs& verbs, const Options& o) {
  BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, o, o.run));
  BELAY_ASSIGN_OR_RETURN(const RunRecord run, store::read_run(verbs.env, folder));
  const RunRow row = store::run_row(verbs.env, folder);
  if (o.json) {
    ordered_json document = row_json(row);
    document["folder"] = folder;
    document["manifest"] = run.manifest;
    print_json(document);
    return ExitCode::kDone;
  }
  fmt::print("{}: {}{}\n", plain(folder, 200), plain(row.status),
             row.error.empty() ? "" : ": " + plain(row.error, 300));
  std::fputs(table({{"  started", report::utc_text(row.started)},
                    {"  parameters", count(row.parameters)},
                    {"  steps", row.steps ? fmt::format("{:.0f}", *row.steps) : "-"},
                    {"  tokens", count(row.tokens)},
                    {"  FLOPs", count(row.flops)},
                    {"  time in training", duration(row.seconds)},
                    {"  tokens a second", count(row.tokens_per_second)},
                    {"  loss, nats per token", fixed(row.loss)},
                    {"  validation, nats per token", fixed(row.val_loss)},
                    {"  validation, bits per byte", fixed(row.val_bpb)}})
                 .c_str(),
             stdout);
  for (const char* part : {"plan", "measured", "model", "data", "machine", "options"}) {
    print_fields(run.manifest, part);
  }
  return ExitCode::kDone;
}

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

Result<ExitCode> compare(Verbs& verbs, const Options& o) {
  if (o.names.size() < 2) {
    return base::invalid_argument({.where = "belay runs compare",
                                   .what = "needs two runs or more",
                                   .seen = std::to_string(o.names.size()),
                                   .next = "belay runs compare A B"});
  }
  std::vector<RunRecord> runs;
  std::vector<RunRow> rows;
  double common = HUGE_VAL;
  for (const std::string& name : o.names) {
    BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, o, name));
    BELAY_ASSIGN_OR_RETURN(RunRecord run, store::read_run(verbs.env, folder));
    runs.push_back(std::move(run));
    rows.push_back(store::run_row(verbs.env, folder));
    common = std::min(common, rows.back().tokens.value_or(0));
  }
  const std::vector<std::string> options = differing_options(runs);
  if (o.json) {
    print_json(comparison_json(runs, rows, options, common));
  } else {
    std::fputs(comparison_text(runs, rows, options, common).c_str(), stdout);
  }
  return ExitCode::kDone;
}

Result<ExitCode> write_report(Verbs& verbs, const Options& o) {
  BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, o, o.run));
  BELAY_RETURN_IF_ERROR(report::write_run_report(verbs.env, folder));
  fmt::print("{}\n", base::join_path(folder, "report.html"));
  return ExitCode::kDone;
}

void add_common(Verb verb, Options& o) {
  verb.option("--runs", o.runs, "Folder that the runs lie in").type("DIR");
}

}  // namespace

void add_runs(Verbs& verbs) {
  Verb runs =
      verbs.add({.name = "runs",
                 .about = "List, show and compare runs",
                 .examples = {"runs list", "runs show a", "runs compare a b --json"}},
                []() -> Result<ExitCode> {
                  return base::invalid_argument({.what = "belay runs needs to know what to do",
                                                 .allowed = "list, show, compare, report",
                                                 .next = "see belay runs --help"});
                });
  const auto add = [&](const VerbInfo& info, auto run) -> std::pair<Verb, Options*> {
    auto options = std::make_shared<Options>();
    Verb verb = verbs.add(runs, info, [&verbs, options, run] { return run(verbs, *options); });
    add_common(verb, *options);
    return {verb, options.get()};
  };
  auto [list_verb, list_options] =
      add({.name = "list",
           .about = "Every run below a folder; renews its index.db (SQLite, table runs)",
           .examples = {"runs list", "runs list --runs /data/runs --json"}},
          list);
  list_verb.flag("--json", list_options->json, "Print one JSON document");
  auto [show_verb, show_options] =
      add({.name = "show",
           .about = "What a run is, what was planned, and what came of it",
           .examples = {"runs show a", "runs show runs/a --json"}},
          show);
  show_verb.option("run", show_options->run, "Run folder, or its name below --runs")
      .required()
      .type("RUN");
  show_verb.flag("--json", show_options->json, "Print one JSON document");
  auto [compare_verb, compare_options] =
      add({.name = "compare",
           .about = "Runs side by side: results, loss at equal tokens, options that differ",
           .examples = {"runs compare a b", "runs compare runs/a /data/runs/b --json"}},
          compare);
  compare_verb.option("runs", compare_options->names, "Run folders, or names below --runs")
      .required()
      .type("RUN...");
  compare_verb.flag("--json", compare_options->json, "Print one JSON document");
  auto [report_verb, report_options] =
      add({.name = "report",
           .about = "Write a run's report.html again from its files",
           .examples = {"runs report a"}},
          write_report);
  report_verb.option("run", report_options->run, "Run folder, or its name below --runs")
      .required()
      .type("RUN");
}

}  // namespace belay::cli
