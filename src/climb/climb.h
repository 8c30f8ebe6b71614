// A climb: plan a ladder, train its rungs, fit the law of loss, write the forecast of the next rung
// into a register, train that rung, score the forecast. Everything that a climb knows is in
// FOLDER/climb.json (docs/formats.md) and in the run folders below FOLDER/rungs/, so that it goes
// on after any kill, and ends in the same forecast.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/env.h"
#include "base/threads.h"
#include "climb/ladder.h"
#include "climb/trainer.h"

namespace belay::climb {

struct ClimbOptions {
  std::string folder;
  RunOptions fixed;  // of every run: data, context, threads, ...
  LadderOptions ladder;
  double unique_tokens = 0;      // of the training split
  double price_per_hour = 0;     // 0: not known
  int resamples = 400;           // of the fit's bootstrap
  nlohmann::ordered_json about;  // what else climb.json says of it: version, machine, data, options
};

/// What a climb says while it works.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void planned(const Ladder& ladder, bool resumed) = 0;
  virtual void trained(const Rung& rung, const RunOutcome& outcome) = 0;
  /// "fit" and "next" of climb.json.
  virtual void forecast(const nlohmann::ordered_json& record) = 0;
  /// climb.json was written.
  virtual void saved() = 0;
};

/// Begins a climb in the folder, or goes on with the one that is there. Returns climb.json; its
/// status is "interrupted" when the user stopped it. Fails when the folder holds a climb of other
/// options, when the hours are too few, and when the rungs give no law.
base::Result<nlohmann::ordered_json> climb(base::Env& env, base::ThreadPool& threads,
                                           Trainer& trainer, const ClimbOptions& options,
                                           Listener& listener);

}  // namespace belay::climb
