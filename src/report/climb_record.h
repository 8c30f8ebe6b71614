// climb.json as the report reads it: what is there and can be true, typed; the rest is absent. The
// format is in docs/formats.md. The file may come from anywhere: a number that no climb has (not
// finite, negative, beyond 1e36) counts as missing, lists are cut and say by how much.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "report/climb_law.h"

namespace belay::report {

struct Sample {
  std::string prompt, text;
};

struct Rung {
  std::string name;
  std::optional<double> row = {}, params = {}, tokens = {}, flops = {};
  std::optional<double> seconds = {}, loss = {}, bpb = {};
  std::optional<double> law = {};  // the loss that the fitted law says
  std::string excluded = {};       // why it is not part of the fit; "": it is
  std::optional<Sample> sample = {};
};

struct Climb {
  std::string name;              // of the folder
  nlohmann::json document;       // an object
  std::vector<Rung> rungs = {};  // by compute
  std::size_t n_left_out = 0;    // rungs that are too many to be read
  std::optional<Surface> law = {};
};

/// Reads FOLDER/climb.json. Fails when it is missing, too large, or no JSON object.
base::Result<Climb> read_climb(base::Env& env, const std::string& folder);
/// The climb that a document describes.
Climb climb_of(std::string name, nlohmann::json document);

/// The field at a path when it is a number from `least` on and not beyond 1e36.
std::optional<double> size_at(const nlohmann::json& object,
                              std::initializer_list<std::string_view> path, double least = 1e-9);
/// {"prompt", "text"} at a path, when there is a text.
std::optional<Sample> sample_at(const nlohmann::json& object,
                                std::initializer_list<std::string_view> path);

}  // namespace belay::report
