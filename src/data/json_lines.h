// The text of one line of a JSONL file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace belay::data {

/// The string under `field` of the object that the line is; "" for null and for a blank line.
/// Errors name `place` ("file.jsonl:12"); a missing field is one, with the fields that there are.
base::Result<std::string> text_of_line(std::string_view line, const std::string& place,
                                       const std::string& field);

}  // namespace belay::data
