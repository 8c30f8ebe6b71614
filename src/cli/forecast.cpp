// belay forecast: the verb above those that fit and score forecasts.
#include "cli/forecast.h"

namespace belay::cli {

void add_forecast(Verbs& verbs) {
  Verb parent =
      verbs.add({.name = "forecast",
                 .about = "Fit scaling laws with intervals, scored on runs held out",
                 .examples = {"forecast loss runs.csv", "forecast loss runs.csv --budget 1e20"}},
                []() -> base::Result<ExitCode> {
                  return base::invalid_argument({.what = "belay forecast needs to know of what",
                                                 .allowed = "loss",
                                                 .next = "see belay forecast --help"});
                });
  add_forecast_loss(verbs, parent);
}

}  // namespace belay::cli
