// From the measured rungs of a ladder to the forecast of the next one, and from its outcome to a
// score. Works on the parts of climb.json (docs/formats.md): what is forecast follows from what is
// written there, so that a climb that was killed forecasts the same.
#pragma once

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "base/threads.h"
#include "climb/ladder.h"
#include "store/forecast_register.h"

namespace belay::climb {

struct NextForecast {
  nlohmann::ordered_json fit;   // "fit" of climb.json
  nlohmann::ordered_json rung;  // "next" of climb.json, without what the register adds
  store::Forecast entry;        // for the register; when it was made is left open
};

struct NextOptions {
  double flops = 0;          // of the next rung
  double unique_tokens = 0;  // of the training split
  int n_seeds = 1;           // that its loss is the mean of
  std::int64_t first_seed = 1;
  int resamples = 400;
};

/// Fits the law to the rungs ("rungs" of climb.json), chooses the size that it says is best at
/// options.flops, and predicts its loss: by the law, and by how the best loss of each row of equal
/// compute has fallen, combined by their variances.
base::Result<NextForecast> forecast_next(base::ThreadPool& threads,
                                         const nlohmann::ordered_json& rungs,
                                         const NextOptions& options, const Measure& measure);

/// "outcome": what came beside what was said.
nlohmann::ordered_json score_next(const store::Forecast& forecast, double loss);

/// "beyond": ten times the compute of the next rung, by the law of all rungs, the next one
/// included; null when they give none.
nlohmann::ordered_json look_beyond(base::ThreadPool& threads, const nlohmann::ordered_json& climb,
                                   const NextOptions& options);

/// Standard deviation of the loss between seeds of one rung, in percent of it; null with one seed.
nlohmann::ordered_json seed_deviation_percent(const nlohmann::ordered_json& rungs);

}  // namespace belay::climb
