// What the reports of belay forecast share: tables for a terminal, and scores as text and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "forecast/scores.h"

namespace belay::cli {

/// Text from a file as a terminal may see it.
std::string plain_text(std::string_view text, std::size_t most = 60);

/// Coverage, CRPS and baselines; `unit` is what the errors are in.
nlohmann::ordered_json scores_json(const forecast::Scores& scores);
std::string scores_text(const forecast::Scores& scores, const std::string& unit);

/// null for what is not finite.
nlohmann::ordered_json number_or_null(double value);

}  // namespace belay::cli
