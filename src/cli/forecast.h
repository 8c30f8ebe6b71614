// The verbs below belay forecast.
#pragma once

#include "cli/verbs.h"

namespace belay::cli {

void add_forecast_loss(Verbs& verbs, Verb parent);
void add_forecast_score(Verbs& verbs, Verb parent);
void add_forecast_trend(Verbs& verbs, Verb parent);

}  // namespace belay::cli
