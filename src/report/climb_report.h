// The report of a climb: one HTML file that holds all that it shows, to be opened without a
// network: what was predicted of the next rung and what came, the rungs and their law as charts,
// samples, tables, cost. It is written from climb.json alone (docs/formats.md), at any time of the
// climb.
#pragma once

#include <string>

#include "base/env.h"
#include "base/status.h"

namespace belay::report {

/// Writes FOLDER/report.html, whole or not at all. Fails when the folder holds no climb or cannot
/// be written. Cost: a few milliseconds, mostly unpacking Chart.js.
base::Status write_climb_report(base::Env& env, const std::string& folder);

}  // namespace belay::report
