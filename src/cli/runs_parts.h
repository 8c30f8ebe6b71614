// What the verbs below `belay runs` share: a run by its name, its row, and values as text.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "store/run_index.h"

namespace belay::cli {

/// A run by its path, or by its name below the folder of runs.
base::Result<std::string> find_run(base::Env& env, const std::string& runs,
                                   const std::string& name);

nlohmann::ordered_json row_json(const store::RunRow& row);
/// Null where there is none.
nlohmann::ordered_json number_json(std::optional<double> value);

/// Text from a file as a terminal may see it.
std::string plain(std::string_view text, std::size_t most = 60);
// "12.3k", "1.2345", "3m12s"; "-" where there is no value.
std::string count(std::optional<double> value);
std::string fixed(std::optional<double> value);
std::string duration(std::optional<double> value);

}  // namespace belay::cli
