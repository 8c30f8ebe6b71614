// The names that every template knows: operators, filters, tests, methods and functions, as
// functions on values. Faults go to the interpreter.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "text/jinja/interpreter.h"

namespace belay::text::jinja {

Value operate(Interpreter& in, Op op, const Value& a, const Value& b);
Value negated(Interpreter& in, const Value& value);

/// value | name(arguments).
Value apply_filter(Interpreter& in, std::string_view name, const Value& value,
                   const Arguments& arguments);
/// value is name(arguments).
bool apply_test(Interpreter& in, std::string_view name, const Value& value,
                const Arguments& arguments);

/// The value has a method of this name in Python.
bool has_method(const Value& value, std::string_view name);
Value call_method(Interpreter& in, const Value& object, std::string_view name,
                  const Arguments& arguments);

std::optional<Function> function_of(std::string_view name);
Value call_function(Interpreter& in, Function function, const Arguments& arguments);

/// Arguments in the places of named parameters.
class Bound {
 public:
  static constexpr std::size_t kMost = 5;
  using Parameters = std::array<std::string_view, kMost>;  // empty ones at the end
  /// Fails when an argument has no place or one of the first `required` is missing.
  Bound(Interpreter& in, std::string_view callee, const Parameters& parameters,
        std::size_t required, const Arguments& arguments);

  /// Null when it was not given.
  const Value* at(std::size_t i) const { return values_[i]; }
  // Typed, with a fault for other types; `fallback` when it was not given.
  std::int64_t whole(std::size_t i, std::int64_t fallback) const;
  bool flag(std::size_t i, bool fallback) const;
  /// None counts as not given.
  const MarkedText* text(std::size_t i) const;
  std::optional<std::string_view> view(std::size_t i) const;

 private:
  void wrong(std::size_t i, std::string_view allowed) const;
  Interpreter& in_;
  std::string_view callee_;
  Parameters parameters_;
  std::array<const Value*, kMost> values_{};
};

struct Filter {
  std::string_view name;
  Bound::Parameters parameters;
  std::size_t required;
  Value (*apply)(Interpreter& in, const Value& value, const Bound& a);
};
std::span<const Filter> text_filters();
std::span<const Filter> list_filters();
/// map, select, reject, selectattr, rejectattr: arguments go on to another filter or test.
std::optional<Value> apply_picker(Interpreter& in, std::string_view name, const Value& value,
                                  const Arguments& arguments);

/// item.first.second, with numbers as places in lists: "function.name".
Value attribute_path(Interpreter& in, const Value& item, const Value& path);

}  // namespace belay::text::jinja
