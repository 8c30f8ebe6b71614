// The verbs under belay forecast, and what their reports share.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/verbs.h"
#include "forecast/scores.h"

namespace belay::cli {

void add_forecast_trend(Verbs& verbs, Verb forecast);
void add_forecast_score(Verbs& verbs, Verb forecast);

/// Rows of cells as aligned columns with two spaces before each row; the first column is text.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// Text from a file as a terminal may see it.
std::string plain_text(std::string_view text, std::size_t most = 60);

/// Coverage, CRPS and baselines; `unit` is what the errors are in.
nlohmann::ordered_json scores_json(const forecast::Scores& scores);
std::string scores_text(const forecast::Scores& scores, const std::string& unit);

/// "[low, high]" pairs by level: {"50": [..], "80": [..], "95": [..]}; what is not finite is null.
nlohmann::ordered_json number_or_null(double value);

}  // namespace belay::cli
