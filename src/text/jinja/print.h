// Values as text: Python's str() and repr(), and json.dumps() as Hugging Face's templates call it.
#pragma once

#include <string>

#include "text/jinja/text.h"
#include "text/jinja/value.h"

namespace belay::text::jinja {

/// Shortest digits that read back as the same number: 1.0, 1e-05, 1e+16, inf.
std::string float_text(double value);

/// str(): a string as it is, undefined as nothing.
void print(Builder& out, const Value& value);
/// repr(): strings in quotes. A string with content becomes content as a whole.
void print_repr(Builder& out, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent = std::nullopt;  // of one level; none: on one line
  std::string item_separator = ", ", key_separator = ": ";
};
/// json.dumps(). The kind of a value that JSON does not have, else empty.
std::string print_json(Builder& out, const Value& value, const JsonStyle& style);

}  // namespace belay::text::jinja
