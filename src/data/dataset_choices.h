// The parts of dataset.json that are there only where they were asked for: rules for quality,
// near-duplicates, a mixture.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/json.h"
#include "base/status.h"
#include "data/dataset_manifest.h"

namespace belay::data {

/// Adds "filters", "near_duplicates" and "mixture" to an object where they are not empty.
void add_choices(const DatasetManifest& manifest, nlohmann::ordered_json& object);
/// The way back.
base::Status read_choices(const base::JsonReader& object, DatasetManifest& manifest);

}  // namespace belay::data
