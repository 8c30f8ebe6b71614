// value is NAME: what can be asked of a value.
#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"

namespace belay::text::jinja {
namespace {

struct Test {
  std::string_view name;
  bool (*holds)(const Value& value);
};

bool is_sequence(const Value& v) {
  return v.is_undefined() || v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr;
}

constexpr Test kPlain[] = {
    {"defined", [](const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](const Value& v) { return v.is_undefined(); }},
    {"none", [](const Value& v) { return v.is_none(); }},
    {"boolean", [](const Value& v) { return v.is_bool(); }},
    {"true", [](const Value& v) { return v.is_bool() && v.truth(); }},
    {"false", [](const Value& v) { return v.is_bool() && !v.truth(); }},
    {"integer", [](const Value& v) { return v.is_int(); }},
    {"float", [](const Value& v) { return v.is_float(); }},
    {"number", [](const Value& v) { return v.is_number(); }},
    {"string", [](const Value& v) { return v.text() != nullptr; }},
    {"mapping", [](const Value& v) { return v.dict() != nullptr; }},
    {"sequence", is_sequence},
    {"iterable", [](const Value& v) { return is_sequence(v) || v.loop() != nullptr; }},
    {"callable", [](const Value& v) { return v.is_callable(); }},
    {"lower",
     [](const Value& v) { return v.text() != nullptr && is_case(v.text()->bytes(), false); }},
    {"upper",
     [](const Value& v) { return v.text() != nullptr && is_case(v.text()->bytes(), true); }},
};

enum class Relation { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kSame, kDivisible, kOdd, kEven };

constexpr std::pair<std::string_view, Relation> kRelations[] = {
    {"eq", Relation::kEq},       {"equalto", Relation::kEq},
    {"==", Relation::kEq},       {"ne", Relation::kNe},
    {"!=", Relation::kNe},       {"lt", Relation::kLt},
    {"lessthan", Relation::kLt}, {"<", Relation::kLt},
    {"le", Relation::kLe},       {"<=", Relation::kLe},
    {"gt", Relation::kGt},       {"greaterthan", Relation::kGt},
    {">", Relation::kGt},        {"ge", Relation::kGe},
    {">=", Relation::kGe},       {"in", Relation::kIn},
    {"sameas", Relation::kSame}, {"odd", Relation::kOdd},
    {"even", Relation::kEven},   {"divisibleby", Relation::kDivisible}};

/// Small values are one object in Python, others when they share.
bool same(Interpreter& in, const Value& a, const Value& b) {
  if (a.list() != nullptr || b.list() != nullptr) return a.list() == b.list();
  if (a.dict() != nullptr || b.dict() != nullptr) return a.dict() == b.dict();
  return a.kind() == b.kind() && in.equals(a, b);
}

bool divisible(Interpreter& in, const Value& a, std::int64_t by, std::int64_t rest) {
  if (a.is_undefined()) return in.undefined(a), false;
  if (!a.is_number() || by == 0) {
    in.fail("only numbers are divisible, and not by 0", std::string(a.kind()));
    return false;
  }
  const Value left = operate(in, Op::kModulo, a, Value(by));
  return in.ok() && left.number() == static_cast<double>(rest);
}

bool related(Interpreter& in, Relation relation, const Value& a, const Value& b) {
  switch (relation) {
    case Relation::kEq: return in.equals(a, b);
    case Relation::kNe: return !in.equals(a, b);
    case Relation::kLt: return in.less(a, b);
    case Relation::kLe: return in.less(a, b) || (in.ok() && in.equals(a, b));
    case Relation::kGt: return in.less(b, a);
    case Relation::kGe: return in.less(b, a) || (in.ok() && in.equals(a, b));
    case Relation::kIn: return in.contains(b, a);
    case Relation::kSame: return same(in, a, b);
    default: return divisible(in, a, b.is_whole() ? b.whole() : 0, 0);
  }
}

}  // namespace

bool apply_test(Interpreter& in, std::string_view name, const Value& value,
                const Arguments& arguments) {
  if (!in.ok()) return false;
  const auto* plain = std::find_if(std::begin(kPlain), std::end(kPlain),
                                   [&](const Test& t) { return t.name == name; });
  if (plain != std::end(kPlain)) {
    const Bound none(in, name, {}, 0, arguments);
    return in.ok() && plain->holds(value);
  }
  const auto* relation = std::find_if(std::begin(kRelations), std::end(kRelations),
                                      [&](const auto& r) { return r.first == name; });
  if (relation == std::end(kRelations)) {
    in.fail(base::Code::kUnsupported, "there is no such test", base::printable(name));
    return false;
  }
  if (relation->second == Relation::kOdd || relation->second == Relation::kEven) {
    return divisible(in, value, 2, relation->second == Relation::kOdd ? 1 : 0);
  }
  const Bound bound(in, name, {"other"}, 1, arguments);
  return in.ok() && related(in, relation->second, value, *bound.at(0));
}

}  // namespace belay::text::jinja
