// The keys of config.json: which are read, which must have one value, which are bookkeeping.
// A part of config_json.
#pragma once

#include "base/json.h"
#include "base/status.h"

namespace belay::model {

/// Refuses unknown keys and values that ask for another computation. `root` is the whole config.
base::Status check_config_keys(const base::JsonReader& root);

/// Refuses keys of a rope_scaling or rope_parameters object that are not read.
base::Status check_rope_keys(const base::JsonReader& rope);

}  // namespace belay::model
