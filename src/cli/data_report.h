// What belay data says of a dataset: counts, what was left out and why, the mixture of sources.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/dataset_manifest.h"

namespace belay::cli {

/// a / b; 0 where b is 0.
double ratio(std::int64_t a, std::int64_t b);

/// Tokenizer, counts, what was left out, mixture.
nlohmann::ordered_json manifest_json(const data::DatasetManifest& manifest);
/// The same for people.
std::string manifest_report(const data::DatasetManifest& manifest);
/// What deserves a warning: files skipped, sources repeated too often to teach much.
std::vector<std::string> manifest_warnings(const data::DatasetManifest& manifest);

}  // namespace belay::cli
