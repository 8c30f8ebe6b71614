// A sweep: runs over a grid of options, all of them or by successive halving (Jamieson, Talwalkar,
// AISTATS 2016), where each round trains the better part of the last one for eta times as many
// steps, going on from where its shorter runs began to decay. Every run is a folder of its own, and
// what a sweep knows is what its folders hold: asked for again, it trains what is missing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "climb/trainer.h"

namespace belay::climb {

struct SweepAxis {
  std::string option;
  std::vector<std::string> values;
};

struct SweepOptions {
  std::string folder;
  RunOptions fixed;  // of every run
  std::vector<SweepAxis> axes;
  std::int64_t seeds = 1;  // runs of each point, from seed 1 on
  std::int64_t eta = 0;    // of successive halving, at least 2; 0: the whole grid
  std::int64_t steps = 0;  // of the last round; needed by halving
  double hours = 0;        // after which no further run begins; 0: no limit
};

/// One point of the grid, all its seeds.
struct SweepRow {
  RunOptions point;
  std::int64_t steps = 0;            // of its longest runs; 0: as --steps or the clock say
  std::vector<std::string> folders;  // of those, a seed each
  std::vector<RunOutcome> outcomes;
  double loss() const;  // mean of val_loss; infinite where a seed has none
};

struct SweepResult {
  std::vector<SweepRow> rows;           // the lowest loss of the longest runs first
  std::int64_t n_runs = 0, n_left = 0;  // done and to do, when hours or the user ended it
};

/// "lr-0.002_depth-3_seed-1"; steps > 0: with "_steps-400".
std::string run_name(const RunOptions& point, std::int64_t seed, std::int64_t steps);

/// "lr=1e-3,2e-3" as an axis.
base::Result<SweepAxis> parse_axis(const std::string& text);

/// on_run is told of each run when it ends. Fails for options that no run takes.
base::Result<SweepResult> sweep(
    base::Env& env, Trainer& trainer, const SweepOptions& options,
    const std::function<void(const std::string&, const RunOutcome&)>& on_run);

}  // namespace belay::climb
