// What a template computes with: Python's values as far as templates show them. Lists and dicts are
// never changed once made, as in Jinja's immutable sandbox, so copies share; only a namespace
// changes, and it belongs to the interpreter, so that no value can hold itself alive. Nesting is
// counted in every container and capped, so that walking (and destroying) a value is safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "text/marked_text.h"

namespace belay::text::jinja {

inline constexpr int kMaxValueDepth = 100;

/// Work that a template may still do, in steps: about one for each expression, statement and
/// element, and one for 64 bytes of text. At 0 everything ends.
struct Budget {
  std::uint64_t left = 0;
  bool spend(std::uint64_t steps) {
    left -= std::min(left, steps);
    return left > 0;
  }
};

class Value;

struct Undefined {
  std::shared_ptr<const std::string> why;  // "'tools' is undefined"
};
struct None {};
struct NamespaceRef {
  std::size_t index;
};
struct MacroRef {
  std::size_t index;
};
enum class Function : std::uint8_t { kRange, kNamespace, kDict, kRaise, kStrftimeNow };
struct MethodName {};  // message.items without a call: something, but nothing of use

struct List {
  std::vector<Value> items;
  int depth = 1;
  bool tuple = false;
};
struct Dict {
  std::vector<std::pair<Value, Value>> items;  // in the order of insertion
  int depth = 1;
};
struct LoopState {
  std::shared_ptr<const List> items;
  std::size_t index = 0;
};

class Value {
 public:
  using Data =
      std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const MarkedText>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>, NamespaceRef, MacroRef,
                   Function, MethodName, std::shared_ptr<LoopState>>;

  Value() = default;                            // undefined
  Value(Data data) : data_(std::move(data)) {}  // NOLINT: implicit by intent

  bool is_undefined() const { return holds<Undefined>(); }
  bool is_none() const { return holds<None>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_int() const { return holds<std::int64_t>(); }
  bool is_float() const { return holds<double>(); }
  bool is_callable() const { return holds<MacroRef>() || holds<Function>() || holds<MethodName>(); }
  /// An int or, as in Python, a bool.
  bool is_whole() const { return is_int() || is_bool(); }
  bool is_number() const { return is_whole() || is_float(); }

  /// Null for other kinds.
  const MarkedText* text() const { return pointed<const MarkedText>(); }
  const List* list() const { return pointed<const List>(); }
  const Dict* dict() const { return pointed<const Dict>(); }
  const LoopState* loop() const { return pointed<LoopState>(); }
  template <class T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }

  std::int64_t whole() const;  // of an int or a bool
  double number() const;       // of any number
  /// Levels of containers.
  int depth() const;
  bool truth() const;
  /// "'int' object": the name of the kind, as Python has it.
  std::string_view kind() const;

 private:
  template <class T>
  bool holds() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  T* pointed() const {
    const auto* p = std::get_if<std::shared_ptr<T>>(&data_);
    return p == nullptr ? nullptr : p->get();
  }
  Data data_;
};

Value text_value(MarkedText text);
Value text_value(std::string_view text, bool is_content = false);

/// Python's ==. Strings are equal whatever their marks. Means nothing once the budget is spent.
bool equal(const Value& a, const Value& b, Budget& budget);
/// Python's order: -1, 0, 1; nothing where Python has none ("a" < 1).
std::optional<int> compare(const Value& a, const Value& b, Budget& budget);
/// The value at a key; null when there is none.
const Value* find(const Dict& dict, const Value& key, Budget& budget);
const Value* find(const Dict& dict, std::string_view key);

/// A document of JSON. Every string in it, keys too, is content. Fails when it is nested too deeply
/// or has a whole number beyond 64 bits; `where` begins the message.
base::Result<Value> from_json(const nlohmann::ordered_json& json, std::string_view where);

}  // namespace belay::text::jinja
