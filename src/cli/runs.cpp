// belay runs: lists, shows and compares run folders, and writes a run's report again.
#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/columns.h"
#include "cli/runs_compare.h"
#include "cli/runs_parts.h"
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
using store::RunRecord;
using store::RunRow;

struct RunsArguments {
  std::string runs = "runs", run;
  std::vector<std::string> names;
  bool json = false;
};

Result<ExitCode> list(Verbs& verbs, const RunsArguments& o) {
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

Result<ExitCode> show(Verbs& verbs, const RunsArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, o.runs, o.run));
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

Result<ExitCode> compare_all(Verbs& verbs, const RunsArguments& o) {
  return compare_runs(verbs, o.runs, o.names, o.json);
}

Result<ExitCode> write_report(Verbs& verbs, const RunsArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const std::string folder, find_run(verbs.env, o.runs, o.run));
  BELAY_RETURN_IF_ERROR(report::write_run_report(verbs.env, folder));
  fmt::print("{}\n", base::join_path(folder, "report.html"));
  return ExitCode::kDone;
}

void add_common(Verb verb, RunsArguments& o) {
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
  const auto add = [&](const VerbInfo& info, auto run) -> std::pair<Verb, RunsArguments*> {
    auto options = std::make_shared<RunsArguments>();
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
           .about = "Runs side by side, and the compute that each needed for the same loss",
           .examples = {"runs compare a b", "runs compare runs/a /data/runs/b --json",
                        "runs compare a1,a2,a3 b1,b2,b3"}},
          compare_all);
  compare_verb
      .option("runs", compare_options->names,
              "Run folders, or names below --runs; seeds of one training between commas")
      .required()
      .type("RUN[,RUN]...");
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
