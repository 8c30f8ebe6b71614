// The options of every verb that draws tokens.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cli/options.h"
#include "infer/sampler.h"

namespace belay::cli {

/// Adds --seed, --temperature, --top-k, --top-p, --min-p and the penalties.
void add_sampler_options(Verb verb, infer::SamplerOptions& options);
/// Adds them to a report, under their names with underscores.
void add_sampler(nlohmann::ordered_json& report, const infer::SamplerOptions& options);

}  // namespace belay::cli
