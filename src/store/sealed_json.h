// A JSON object that carries the checksum of its own text, so that any flipped bit is noticed:
//   {...fields..., "xxh3":"16 hexadecimal digits"}\n
// The checksum is XXH3-64 of all bytes before `"xxh3"`; it is the last field, and nothing follows
// the line end. It finds damage; it is no defence against a person who means harm.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace belay::store {

/// The text of an object that has at least one field and none named "xxh3".
std::string seal_json(const nlohmann::ordered_json& object);

/// Checks the checksum, then parses; `file` is what messages call the text.
base::Result<base::JsonReader> open_sealed_json(std::string_view text, std::string_view file);

}  // namespace belay::store
