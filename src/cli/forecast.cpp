// belay forecast: the verb above those that fit and score forecasts.
#include "cli/forecast.h"

namespace belay::cli {

void add_forecast(Verbs& verbs) {
  Verb parent = verbs.add(
      {.name = "forecast",
       .about = "Predictions with intervals, written down and scored",
       .examples = {"forecast loss runs.csv --budget 1e20",
                    "forecast trend horizons.csv --level 10000", "forecast score runs/climb"}},
      []() -> base::Result<ExitCode> {
        return base::invalid_argument({.what = "belay forecast needs to know what to do",
                                       .allowed = "loss, trend, score",
                                       .next = "see belay forecast --help"});
      });
  add_forecast_loss(verbs, parent);
  add_forecast_trend(verbs, parent);
  add_forecast_score(verbs, parent);
}

}  // namespace belay::cli
