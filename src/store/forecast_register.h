// forecasts.jsonl: what was predicted, written down before it happened, and what then came. It only
// grows, one JSON object a line, each synced before its append returns:
//   {"type":"forecast",...fields...,"previous":"64 digits","sha256":"64 digits"}\n
//   {"type":"outcome","of":"16 digits","value":V,"time":T,"previous":...,"sha256":...}\n
// `sha256` is of all bytes of the line before `,"sha256"`; `previous` is the sha256 of the line
// before (64 zeros in the first). So a line that was edited, taken out or moved is found and named.
// Whoever rewrites every line from one on is not found: note Register::head elsewhere against that.
// A last line without its line end is what a crash leaves; reading ignores it, the next append
// drops it. One process at a time appends (a lock on PATH.lock).
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace belay::store {

constexpr std::size_t kForecastQuantiles = 99;

struct Forecast {
  std::string id;         // the first 16 digits of its line's sha256; set by reading
  double made = 0;        // seconds since 1970
  std::string kind;       // "loss" or "trend"
  nlohmann::json target;  // an object that says what was predicted: {"run": R, "metric": M}, or
                          // {"series": FILE, "column": C, ..., "at": "2027-01-01"}
  std::string unit;       // of the values below
  std::string made_from;  // SHA-256 of the data and settings that it follows from
  double median = 0;
  std::vector<double> quantiles;            // at 0.01, 0.02, ..., 0.99: 99 values that never fall
  std::map<std::string, double> baselines;  // "no change", "straight line"
  std::int64_t n_points = 0;                // that it was fitted to
  std::string note;
};

struct Outcome {
  std::string of;  // a forecast's id
  double value = 0;
  double time = 0;  // from when on it could be known (the start of the run, the date of the row):
                    // a forecast counts only when it was made before. Seconds since 1970
};

struct Register {
  std::vector<Forecast> forecasts;  // as they were made
  std::vector<Outcome> outcomes;    // at most one for a forecast, which comes before it
  std::string head;                 // sha256 of the last line; 64 zeros when there is none
  bool torn = false;                // bytes without a line end follow it

  const Forecast* find(std::string_view id) const;
  const Outcome* outcome_of(std::string_view id) const;
};

/// The register that a text is; messages call it `file`. Any fault is kCorrupt and names its line.
base::Result<Register> parse_register(std::string_view text, std::string_view file);

/// A missing file is an empty register.
base::Result<Register> read_register(base::Env& env, const std::string& path);

/// Appends and returns the new id. A forecast of the same kind, target and made_from that is there
/// already stays the only one, and its id is returned: a program that was killed and begins again
/// ends in the same register. Refused when the target has an outcome already.
base::Result<std::string> append_forecast(base::Env& env, const std::string& path,
                                          const Forecast& forecast);

/// Appends what came. The same value again changes nothing; another one is refused.
base::Status append_outcome(base::Env& env, const std::string& path, const Outcome& outcome);

}  // namespace belay::store
