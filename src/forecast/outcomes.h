// What came of a registered forecast, as its target says where to look:
//   {"run": FOLDER, "metric": NAME, ...}   run.json of the run, once its status is "done"; the time
//       is the start of the run: a forecast made later does not count
//   {"series": FILE.csv, "x_column", "y_column", "where", "frontier", "at": DATE, ...}   of a
//       frontier the best up to that date, once the file has a row of that date or later; else the
//       row of that very date; the time is the date
// A relative path is looked for as it is, then beside the register.
#pragma once

#include <optional>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "forecast/scores.h"
#include "forecast/series.h"
#include "store/forecast_register.h"

namespace belay::forecast {

/// The outcome, or nothing where it has not come (yet). A run or file that is there and cannot be
/// read, or that contradicts itself, is an error.
base::Result<std::optional<store::Outcome>> look_up_outcome(base::Env& env,
                                                            const store::Forecast& forecast,
                                                            const std::string& register_folder);

/// The target of a value of this series at a date, for a register.
nlohmann::json series_target(const Series& series, const std::string& file, const std::string& at);

/// A registered forecast whose outcome came, scored in its own unit.
ScoreRow score_registered(const store::Forecast& forecast, double outcome);

/// Scores of forecasts of different units are comparable as shares of the outcome: all values of
/// the row divided by it. Nothing where it is 0.
std::optional<ScoreRow> relative(const ScoreRow& row);

}  // namespace belay::forecast
