// The interpreter's expressions.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace belay::text::jinja {

using base::Code;

namespace {

Value undefined_value(std::string why) {
  return Value(Undefined{std::make_shared<const std::string>(std::move(why))});
}

/// Python's slice.indices: the places begin, begin + step, ... before end.
struct Places {
  std::int64_t begin, end, step;
  std::int64_t count() const {
    const std::int64_t way = step > 0 ? end - begin : begin - end;
    return way <= 0 ? 0 : (way - 1) / (step > 0 ? step : -step) + 1;
  }
};

Places places(std::int64_t size, const Value& begin, const Value& end, std::int64_t step) {
  const auto place = [&](const Value& v, std::int64_t fallback) {
    if (v.is_none()) return fallback;
    std::int64_t at = v.whole();
    if (at < 0) at = std::max<std::int64_t>(at, -size - 1) + size;
    return std::clamp<std::int64_t>(at, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
  };
  return {place(begin, step > 0 ? 0 : size - 1), place(end, step > 0 ? size : -1), step};
}

}  // namespace

Value Interpreter::evaluate(Id id) {
  const Deeper deeper(*this);
  if (!spend(1)) return {};
  const Expression& e = expr(id);
  line_ = e.line;
  Value value = evaluate(e);
  line_ = e.line;
  return ok() ? value : Value();
}

Value Interpreter::evaluate(const Expression& e) {
  switch (e.op) {
    case Op::kConstant: return e.constant;
    case Op::kName: return evaluate_name(e);
    case Op::kBlockText: return block_text_;
    case Op::kList:
    case Op::kTuple: return evaluate_list(e);
    case Op::kDict: return evaluate_dict(e);
    case Op::kAttribute: {
      const Value object = evaluate(e.operands[0]);
      return attribute(object, e.name);
    }
    case Op::kItem: {
      const Value object = evaluate(e.operands[0]);
      return item(object, evaluate(e.operands[1]));
    }
    case Op::kSlice: return evaluate_slice(e);
    case Op::kCall: return evaluate_call(e);
    case Op::kFilter: {
      const Value value = evaluate(e.operands[0]);
      return apply_filter(*this, e.name, value, arguments(e));
    }
    case Op::kTest: {
      const Value value = evaluate(e.operands[0]);
      return Value(apply_test(*this, e.name, value, arguments(e)));
    }
    case Op::kConditional:
      if (evaluate(e.operands[0]).truth()) return evaluate(e.operands[1]);
      if (e.operands[2] != kNone) return evaluate(e.operands[2]);
      return undefined_value("an if without else has no value");
    case Op::kConcat: return evaluate_concat(e);
    case Op::kCompare: return evaluate_compare(e);
    case Op::kAnd:
    case Op::kOr:
    case Op::kNot: return evaluate_logic(e);
    default: return evaluate_binary(e);
  }
}

Value Interpreter::evaluate_name(const Expression& e) {
  if (const Value* value = lookup(e.name)) return *value;
  if (const auto function = function_of(e.name)) return Value(*function);
  return undefined_value(fmt::format("{} is undefined", base::printable(e.name)));
}

Value Interpreter::evaluate_list(const Expression& e) {
  std::vector<Value> items;
  for (const Id id : e.operands) items.push_back(evaluate(id));
  return ok() ? list(std::move(items), e.op == Op::kTuple) : Value();
}

Value Interpreter::evaluate_dict(const Expression& e) {
  std::vector<std::pair<Value, Value>> items;
  for (std::size_t i = 0; i + 1 < e.operands.size(); i += 2) {
    Value key = evaluate(e.operands[i]);
    items.emplace_back(std::move(key), evaluate(e.operands[i + 1]));
  }
  return ok() ? dict(std::move(items)) : Value();
}

Value Interpreter::evaluate_slice(const Expression& e) {
  const Value object = evaluate(e.operands[0]);
  Value bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    bounds[i] = e.operands[i + 1] == kNone ? Value(None{}) : evaluate(e.operands[i + 1]);
    if (!bounds[i].is_none() && !bounds[i].is_whole()) {
      return fail("a slice has a bound that is no whole number", std::string(bounds[i].kind()));
    }
  }
  if (object.is_undefined()) return undefined(object);
  const std::int64_t step = bounds[2].is_none() ? 1 : bounds[2].whole();
  if (step == 0) return fail("a slice has the step 0");
  if (step == INT64_MIN) return fail("a slice has a step that is too large");
  if (const MarkedText* text = object.text()) {
    if (!spend(text->size() / 16)) return {};
    const std::vector<std::size_t> at = boundaries(text->bytes());
    const Places p = places(static_cast<std::int64_t>(at.size()) - 1, bounds[0], bounds[1], step);
    const auto byte = [&](std::int64_t i) { return at[static_cast<std::size_t>(i)]; };
    if (step == 1) {
      return p.count() == 0 ? text_value("") : part(*text, {byte(p.begin), byte(p.end)});
    }
    Builder out = builder();
    for (std::int64_t i = 0; i < p.count() && out.ok(); ++i) {
      const std::int64_t c = p.begin + i * step;
      out.add(*text, byte(c), byte(c + 1) - byte(c));
    }
    return finish(out);
  }
  if (const List* list = object.list()) {
    const Places p =
        places(static_cast<std::int64_t>(list->items.size()), bounds[0], bounds[1], step);
    if (!spend(static_cast<std::uint64_t>(p.count()))) return {};
    std::vector<Value> items;
    for (std::int64_t i = 0; i < p.count(); ++i) {
      items.push_back(list->items[static_cast<std::size_t>(p.begin + i * step)]);
    }
    return this->list(std::move(items), list->tuple);
  }
  return undefined_value(fmt::format("a value of type {} has no slices", object.kind()));
}

Arguments Interpreter::arguments(const Expression& e) {
  Arguments list;
  for (std::size_t i = 1; i < e.operands.size(); ++i) {
    list.positional.push_back(evaluate(e.operands[i]));
  }
  for (const auto& [name, id] : e.named) list.named.emplace_back(name, evaluate(id));
  return list;
}

Value Interpreter::evaluate_call(const Expression& e) {
  const Expression& callee = expr(e.operands[0]);
  if (callee.op == Op::kAttribute) {
    const Value object = evaluate(callee.operands[0]);
    if (has_method(object, callee.name)) {
      const Arguments list = arguments(e);
      return ok() ? call_method(*this, object, callee.name, list) : Value();
    }
    const Value value = attribute(object, callee.name);
    return ok() ? call(value, arguments(e)) : Value();
  }
  const Value value = evaluate(e.operands[0]);
  return ok() ? call(value, arguments(e)) : Value();
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
  if (!ok()) return {};
  if (const auto* function = callee.get<Function>()) {
    return call_function(*this, *function, arguments);
  }
  if (const auto* macro = callee.get<MacroRef>()) {
    return call_macro(*macros_[macro->index], std::move(arguments));
  }
  if (callee.is_undefined()) return undefined(callee);
  return fail("a value that is no function is called", std::string(callee.kind()));
}

Value Interpreter::evaluate_concat(const Expression& e) {
  Builder out = builder();
  for (const Id id : e.operands) print(out, evaluate(id));
  return finish(out);
}

Value Interpreter::evaluate_logic(const Expression& e) {
  Value left = evaluate(e.operands[0]);
  if (e.op == Op::kNot) return Value(!left.truth());
  return left.truth() == (e.op == Op::kOr) ? left : evaluate(e.operands[1]);
}

Value Interpreter::evaluate_compare(const Expression& e) {
  Value left = evaluate(e.operands[0]);
  for (std::size_t i = 0; i < e.comparisons.size(); ++i) {
    Value right = evaluate(e.operands[i + 1]);
    if (!ok() || !holds(e.comparisons[i], left, right)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

bool Interpreter::holds(Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::kEq: return equals(a, b);
    case Comparison::kNe: return !equals(a, b);
    case Comparison::kLt: return less(a, b);
    case Comparison::kGt: return less(b, a);
    // Not the opposite of the two above: no number is less than NaN, or not less.
    case Comparison::kLe: return less(a, b) || (ok() && equals(a, b));
    case Comparison::kGe: return less(b, a) || (ok() && equals(a, b));
    case Comparison::kIn: return contains(b, a);
    case Comparison::kNotIn: return !contains(b, a);
  }
  return false;
}

Value Interpreter::evaluate_binary(const Expression& e) {
  const Value left = evaluate(e.operands[0]);
  if (e.operands.size() == 1) {
    if (left.is_undefined()) return ok() ? undefined(left) : Value();
    if (!left.is_number()) return fail("a sign stands before no number", std::string(left.kind()));
    if (e.op == Op::kNegate) return negated(*this, left);
    return left.is_bool() ? Value(left.whole()) : left;
  }
  const Value right = evaluate(e.operands[1]);
  return ok() ? operate(*this, e.op, left, right) : Value();
}

bool Interpreter::equals(const Value& a, const Value& b) {
  const bool same = equal(a, b, budget_);
  return spend(1) && same;
}

bool Interpreter::less(const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) {
    return undefined(a.is_undefined() ? a : b), false;
  }
  const auto order = compare(a, b, budget_);
  if (!order) {
    fail("two values have no order", fmt::format("{} and {}", a.kind(), b.kind()));
    return false;
  }
  return spend(1) && *order < 0;
}

bool Interpreter::contains(const Value& container, const Value& element) {
  if (const MarkedText* text = container.text()) {
    if (element.text() == nullptr) {
      fail("only a text can be in a text", std::string(element.kind()));
      return false;
    }
    return spend(text->size() / 64) &&
           text->bytes().find(element.text()->bytes()) != std::string::npos;
  }
  if (const Dict* dict = container.dict()) {
    const bool found = find(*dict, element, budget_) != nullptr;
    return spend(1) && found;
  }
  const auto list = elements(container);
  return ok() && std::any_of(list->items.begin(), list->items.end(),
                             [&](const Value& v) { return equals(v, element); });
}

std::shared_ptr<const List> Interpreter::elements(const Value& value) {
  if (const auto* shared = value.get<std::shared_ptr<const List>>()) return *shared;
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    for (const auto& item : dict->items) items.push_back(item.first);
  } else if (const MarkedText* text = value.text()) {
    if (!spend(text->size())) return nullptr;
    const std::vector<std::size_t> at = boundaries(text->bytes());
    for (std::size_t i = 0; i + 1 < at.size(); ++i)
      items.push_back(part(*text, {at[i], at[i + 1]}));
  } else if (!value.is_undefined()) {
    fail("a value cannot be walked through", std::string(value.kind()), "list, tuple, dict, str");
  }
  const Value list = this->list(std::move(items));
  return ok() ? *list.get<std::shared_ptr<const List>>() : nullptr;
}

Value Interpreter::attribute(const Value& object, std::string_view name) {
  if (!ok()) return {};
  if (object.is_undefined()) return undefined(object);
  if (const auto* ref = object.get<NamespaceRef>()) {
    const auto& items = *namespaces_[ref->index];
    if (!spend(1 + items.size() / 4)) return {};
    for (const auto& [key, value] : items) {
      if (key == name) return value;
    }
  }
  if (const LoopState* loop = object.loop()) return loop_attribute(*loop, name);
  if (has_method(object, name)) return Value(MethodName{});
  if (const Dict* dict = object.dict()) {
    if (!spend(dict->items.size() / 4)) return {};
    if (const Value* value = find(*dict, name)) return *value;
  }
  return undefined_value(
      fmt::format("{} has no attribute {}", object.kind(), base::printable(name)));
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (!ok()) return {};
  if (object.is_undefined()) return undefined(object);
  if (const Dict* dict = object.dict()) {
    const Value* value = find(*dict, key, budget_);
    if (!spend(1)) return {};
    if (value != nullptr) return *value;
  } else if (key.is_whole() && (object.list() != nullptr || object.text() != nullptr)) {
    std::vector<std::size_t> at;
    if (object.text() != nullptr && spend(object.text()->size() / 16)) {
      at = boundaries(object.text()->bytes());
    }
    if (!ok()) return {};
    const auto size = static_cast<std::int64_t>(
        object.list() != nullptr ? object.list()->items.size() : at.size() - 1);
    const std::int64_t i = key.whole() < 0 ? key.whole() + size : key.whole();
    if (i < 0 || i >= size)
      return undefined_value(fmt::format("{} has no place {}", object.kind(), key.whole()));
    const auto place = static_cast<std::size_t>(i);
    if (object.list() != nullptr) return object.list()->items[place];
    return part(*object.text(), {at[place], at[place + 1]});
  }
  if (key.text() != nullptr &&
      (object.dict() == nullptr || has_method(object, key.text()->bytes()))) {
    return attribute(object, key.text()->bytes());
  }
  Builder shown = builder();
  print_repr(shown, key);
  return undefined_value(
      fmt::format("{} has no element {}", object.kind(), base::printable(shown.take().bytes())));
}

Value Interpreter::loop_attribute(const LoopState& loop, std::string_view name) {
  const auto n = static_cast<std::int64_t>(loop.items->items.size());
  const auto i = static_cast<std::int64_t>(loop.index);
  if (name == "index") return Value(i + 1);
  if (name == "index0") return Value(i);
  if (name == "first") return Value(i == 0);
  if (name == "last") return Value(i + 1 == n);
  if (name == "length") return Value(n);
  if (name == "revindex") return Value(n - i);
  if (name == "revindex0") return Value(n - i - 1);
  if (name == "depth" || name == "depth0") return Value(std::int64_t{name == "depth" ? 1 : 0});
  if (name == "previtem" && i > 0) return loop.items->items[loop.index - 1];
  if (name == "nextitem" && i + 1 < n) return loop.items->items[loop.index + 1];
  if (name == "cycle") return Value(MethodName{});
  return undefined_value(fmt::format("loop has no {} here", base::printable(name)));
}

}  // namespace belay::text::jinja
