// belay sweep: runs over a grid of options.
#include "climb/sweep.h"

#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/units.h"
#include "cli/columns.h"
#include "cli/interrupt.h"
#include "cli/pretrain_options.h"
#include "cli/trainer.h"

namespace belay::cli {
namespace {

using base::Result;
using nlohmann::ordered_json;

struct SweepArguments {
  PretrainArguments run;
  std::vector<std::string> grid;
  std::int64_t seeds = 1, halving = 0;
  double hours = 0;
};

/// Options of the sweep itself.
const std::set<std::string> kOwn = {"grid",   "seeds",  "halving",   "hours", "out",  "json",
                                    "config", "resume", "overwrite", "seed",  "fork", "keep-fork"};

Result<climb::SweepOptions> options_of(Verb verb, const SweepArguments& a) {
  climb::SweepOptions o{.folder = a.run.out,
                        .fixed = {},
                        .axes = {},
                        .seeds = a.seeds,
                        .eta = a.halving,
                        .steps = a.run.steps,
                        .hours = a.hours};
  BELAY_RETURN_IF_ERROR(check_range("--seeds", a.seeds, 1, 1000));
  if (a.halving != 0) BELAY_RETURN_IF_ERROR(check_range("--halving", a.halving, 2, 100));
  BELAY_RETURN_IF_ERROR(check_range("--hours", a.hours, 0, 1e6));
  std::set<std::string> swept;
  for (const std::string& text : a.grid) {
    BELAY_ASSIGN_OR_RETURN(o.axes.emplace_back(), climb::parse_axis(text));
    swept.insert(o.axes.back().option);
  }
  for (const OptionValue& option : verb.options()) {
    if (!option.given || kOwn.contains(option.name) || swept.contains(option.name)) continue;
    if (option.name == "steps" && a.halving != 0) continue;
    o.fixed.emplace_back(option.name, *option.given);
  }
  return o;
}

ordered_json row_json(const climb::SweepRow& row) {
  ordered_json point = ordered_json::object(), runs = ordered_json::array();
  for (const auto& [name, value] : row.point) point[name] = value;
  for (std::size_t i = 0; i < row.outcomes.size(); ++i) {
    const climb::RunOutcome& o = row.outcomes[i];
    ordered_json run = {{"folder", row.folders[i]},
                        {"parameters", o.params},
                        {"tokens", o.tokens},
                        {"flops", o.flops()},
                        {"seconds", o.seconds}};
    if (o.ending == climb::RunEnding::kDone) {
      run["val_loss"] = o.val_loss;
      run["val_bpb"] = o.val_bpb;
    } else {
      run["error"] = o.error;
    }
    runs.push_back(std::move(run));
  }
  ordered_json json = {{"point", point}};
  if (row.steps > 0) json["steps"] = row.steps;
  json["val_loss"] = std::isfinite(row.loss()) ? ordered_json(row.loss()) : ordered_json();
  json["runs"] = std::move(runs);
  return json;
}

std::string result_text(const climb::SweepResult& result) {
  std::vector<std::vector<std::string>> cells = {{}};
  for (const auto& choice : result.rows.front().point) cells[0].push_back("--" + choice.first);
  for (const char* name : {"val_loss", "val_bpb", "parameters", "tokens", "time", ""}) {
    cells[0].emplace_back(name);
  }
  for (const climb::SweepRow& row : result.rows) {
    std::vector<std::string> line;
    for (const auto& choice : row.point) line.push_back(choice.second);
    if (row.outcomes.empty()) {
      line.insert(line.end(), {"-", "-", "-", "-", "-", "not run"});
    } else {
      double bpb = 0, seconds = 0;
      std::string note;
      for (const climb::RunOutcome& o : row.outcomes) {
        bpb += o.val_bpb / static_cast<double>(row.outcomes.size());
        seconds += o.seconds;
        if (o.ending == climb::RunEnding::kFailed) note = "diverged";
      }
      const climb::RunOutcome& first = row.outcomes.front();
      line.insert(line.end(),
                  {std::isfinite(row.loss()) ? fmt::format("{:.4f}", row.loss()) : "-",
                   note.empty() ? fmt::format("{:.4f}", bpb) : "-", base::count_text(first.params),
                   base::count_text(first.tokens), base::duration_text(seconds), note});
    }
    cells.push_back(std::move(line));
  }
  return table(cells);
}

Result<ExitCode> run_sweep(Verbs& verbs, Verb verb, const SweepArguments& a) {
  BELAY_ASSIGN_OR_RETURN(const climb::SweepOptions options, options_of(verb, a));
  PretrainTrainer trainer(verbs);
  const auto on_run = [&](const std::string& name, const climb::RunOutcome& o) {
    if (o.ending == climb::RunEnding::kFailed) {
      verbs.log.warn("{}: {}", name, o.error);
    } else {
      verbs.log.info("{}: {:.4f} nats a token, {}", name, o.val_loss,
                     base::duration_text(o.seconds));
    }
  };
  BELAY_ASSIGN_OR_RETURN(const climb::SweepResult result,
                         climb::sweep(verbs.env, trainer, options, on_run));
  if (a.run.json) {
    ordered_json rows = ordered_json::array();
    for (const climb::SweepRow& row : result.rows) rows.push_back(row_json(row));
    print_json({{"folder", options.folder},
                {"runs_done", result.n_runs},
                {"runs_left", result.n_left},
                {"rows", std::move(rows)}});
    return ExitCode::kDone;
  }
  std::fputs(result_text(result).c_str(), stdout);
  if (result.n_left > 0) {
    fmt::print("{} runs are left{}: the same command goes on with them\n", result.n_left,
               interrupted() ? "" : ", the hours are used up");
  }
  return ExitCode::kDone;
}

}  // namespace

void add_sweep(Verbs& verbs) {
  auto arguments = std::make_shared<SweepArguments>();
  arguments->run.out = "runs/sweep";
  auto verb_of_run = std::make_shared<std::optional<Verb>>();
  Verb verb = verbs.add(
      {.name = "sweep",
       .about = "Runs over a grid of options of belay pretrain, or by successive halving",
       .examples = {"sweep --grid muon-lr=0.01,0.02,0.04 --depth 2 --steps 500 --out runs/lr",
                    "sweep --grid lr=2e-3,4e-3 --grid depth=2,3 --seeds 3 --max-seconds 60",
                    "sweep --grid muon-lr=0.005,0.01,0.02,0.04 --halving 2 --schedule wsd "
                    "--steps 800 --hours 1"}},
      [&verbs, arguments, verb_of_run] { return run_sweep(verbs, **verb_of_run, *arguments); });
  *verb_of_run = verb;
  verb.option("--grid", arguments->grid,
              "An option of belay pretrain and its values; given several times, all combinations")
      .required()
      .one_at_a_time()
      .type("NAME=A,B,...");
  verb.option("--seeds", arguments->seeds, "Runs of each point, with seeds 1, 2, ...");
  verb.option("--halving", arguments->halving,
              "Successive halving: each round keeps one of so many points, for as many times the "
              "steps; needs --schedule wsd and --steps; 0: the whole grid");
  verb.option("--hours", arguments->hours, "No run begins after so many hours; 0: no limit");
  add_options(verb, arguments->run);
}

}  // namespace belay::cli
