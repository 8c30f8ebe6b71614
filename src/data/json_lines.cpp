#include "data/json_lines.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/json.h"

namespace belay::data {
namespace {

constexpr std::size_t kMostKeysShown = 8;

base::Status no_such_field(const base::JsonReader& line, const std::string& place,
                           const std::string& field) {
  const std::vector<std::string> keys = line.keys();
  std::string there;
  for (std::size_t i = 0; i < keys.size() && i < kMostKeysShown; ++i) {
    there += (i == 0 ? "" : ", ") + base::printable(keys[i], 40);
  }
  if (keys.size() > kMostKeysShown) there += ", ...";
  return base::corrupt({.where = place,
                        .what = "has no field " + base::printable(field),
                        .seen = there,
                        .next = "name the field that holds the text with --field"});
}

}  // namespace

base::Result<std::string> text_of_line(std::string_view line, const std::string& place,
                                       const std::string& field) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return std::string();
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader object, base::parse_json(line, place));
  if (!object.is_object()) {
    return base::corrupt({.where = place,
                          .what = "is not a JSON object",
                          .seen = base::shown(object.node()),
                          .next = "write one object a line; jq -c '.[]' does so from an array"});
  }
  if (!object.node().contains(field)) return no_such_field(object, place, field);
  if (!object.has(field)) return std::string();
  return object.require_string(field);
}

}  // namespace belay::data
