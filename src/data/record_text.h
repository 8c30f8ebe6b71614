// The text of a record: what it says once its file's form is taken off, checked.
#pragma once

#include <string>

#include "base/status.h"
#include "data/sources.h"

namespace belay::data {

/// UTF-8 without zero bytes; of a line of JSON the string under `field` ("" for a blank line).
/// Errors name the file and the place in it. The record's bytes are moved from.
base::Result<std::string> text_of_record(Record& record, const SourceFile& file,
                                         const std::string& field);

/// Nothing but white space of ASCII.
bool is_blank(std::string_view text);

}  // namespace belay::data
