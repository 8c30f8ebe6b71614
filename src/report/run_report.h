// The report of a run: one HTML file that holds all that it shows, to be opened without a network.
// It is written from what the folder holds (run.json, metrics.jsonl), so that it can be written
// again at any time, and while the run still trains.
//
// What it reads, beside the fields in docs/formats.md:
//   metrics.jsonl  {"step", "tokens", "prompt", "sample"}: a sample along the way
//                  {"step", "event", "message"}: something that happened, told in words
//   run.json       "plan" and "measured": train/plan.h
#pragma once

#include <string>

#include "base/env.h"
#include "base/status.h"

namespace belay::report {

/// Writes RUN/report.html, whole or not at all. Fails when the folder holds no run or cannot be
/// written. Cost: reading the metrics; about 10 ms for a short run.
base::Status write_run_report(base::Env& env, const std::string& run_folder);

}  // namespace belay::report
