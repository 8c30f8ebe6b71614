// A run folder as it is read: the manifest (run.json) and the lines of metrics.jsonl. A run that
// still trains, was killed or was written by a later version can be read: unknown fields are kept,
// missing ones are absent, a line that does not parse (the last one of a killed run) is counted and
// left out. What is hostile (sizes, nesting, text that is no JSON) is an error or is counted.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace belay::store {

struct RunRecord {
  std::string folder, name;
  nlohmann::json manifest;              // an object
  std::vector<nlohmann::json> metrics;  // objects; their steps never fall
  std::int64_t unreadable_lines = 0;
};

/// Reads DIR/run.json (required) and DIR/metrics.jsonl (may be missing). A line whose step is
/// below an earlier one's was computed again after a resume: it replaces all from its step on.
base::Result<RunRecord> read_run(base::Env& env, const std::string& folder);

/// The manifest alone.
base::Result<nlohmann::json> read_manifest(base::Env& env, const std::string& folder);

/// The lines of metrics.jsonl as read_run() reads them.
std::vector<nlohmann::json> parse_metrics(std::string_view text, std::int64_t& unreadable_lines);

/// The field at a path of keys, when it is a finite number (a text).
std::optional<double> number_at(const nlohmann::json& object,
                                std::initializer_list<std::string_view> path);
std::optional<std::string> text_at(const nlohmann::json& object,
                                   std::initializer_list<std::string_view> path);

/// The folder holds a run.json.
bool is_run_folder(base::Env& env, const std::string& folder);

}  // namespace belay::store
