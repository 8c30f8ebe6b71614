#include "text/jinja/value.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace belay::text::jinja {

using base::Result;

std::int64_t Value::whole() const {
  if (const bool* b = get<bool>()) return *b ? 1 : 0;
  return std::get<std::int64_t>(data_);
}

double Value::number() const {
  if (const double* d = get<double>()) return *d;
  return static_cast<double>(whole());
}

int Value::depth() const {
  if (list() != nullptr) return list()->depth;
  if (dict() != nullptr) return dict()->depth;
  if (loop() != nullptr) return loop()->items->depth + 1;
  return 0;
}

bool Value::truth() const {
  if (is_undefined() || is_none()) return false;
  if (is_whole()) return whole() != 0;
  if (is_float()) return number() != 0;
  if (text() != nullptr) return text()->size() > 0;
  if (list() != nullptr) return !list()->items.empty();
  if (dict() != nullptr) return !dict()->items.empty();
  return true;
}

std::string_view Value::kind() const {
  constexpr std::string_view kNames[] = {
      "undefined", "NoneType",  "bool",  "int",      "float",  "str",        "list",
      "dict",      "Namespace", "Macro", "function", "method", "LoopContext"};
  if (list() != nullptr && list()->tuple) return "tuple";
  return kNames[data_.index()];
}

Value text_value(MarkedText text) {
  return Value::Data(std::make_shared<const MarkedText>(std::move(text)));
}

Value text_value(std::string_view text, bool is_content) {
  return text_value(MarkedText(std::string(text), is_content));
}

namespace {

bool equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  return a.items.size() == b.items.size() &&
         std::all_of(a.items.begin(), a.items.end(), [&](const auto& item) {
           const Value* other = find(b, item.first, budget);
           return other != nullptr && equal(item.second, *other, budget);
         });
}

}  // namespace

bool equal(const Value& a, const Value& b, Budget& budget) {
  if (!budget.spend(1)) return false;
  if (a.is_number() && b.is_number()) {
    return a.is_whole() && b.is_whole() ? a.whole() == b.whole() : a.number() == b.number();
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    if (!budget.spend(a.text()->size() / 64)) return false;
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.list() != nullptr && b.list() != nullptr) {
    const List &x = *a.list(), &y = *b.list();
    return x.tuple == y.tuple &&
           std::equal(x.items.begin(), x.items.end(), y.items.begin(), y.items.end(),
                      [&](const Value& v, const Value& w) { return equal(v, w, budget); });
  }
  if (a.dict() != nullptr && b.dict() != nullptr) return equal_dicts(*a.dict(), *b.dict(), budget);
  if (const auto* ns = a.get<NamespaceRef>()) {
    return b.get<NamespaceRef>() != nullptr && b.get<NamespaceRef>()->index == ns->index;
  }
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

std::optional<int> compare(const Value& a, const Value& b, Budget& budget) {
  if (!budget.spend(1)) return 0;
  const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_number() && b.is_number()) {
    return a.is_whole() && b.is_whole() ? order(a.whole(), b.whole())
                                        : order(a.number(), b.number());
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    if (!budget.spend(std::min(a.text()->size(), b.text()->size()) / 64)) return 0;
    return order(a.text()->bytes(), b.text()->bytes());
  }
  if (a.list() != nullptr && b.list() != nullptr && a.list()->tuple == b.list()->tuple) {
    const auto &x = a.list()->items, &y = b.list()->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i], budget)) return compare(x[i], y[i], budget);
    }
    return order(x.size(), y.size());
  }
  return std::nullopt;
}

const Value* find(const Dict& dict, const Value& key, Budget& budget) {
  for (const auto& [k, v] : dict.items) {
    if (equal(k, key, budget)) return &v;
  }
  return nullptr;
}

const Value* find(const Dict& dict, std::string_view key) {
  for (const auto& [k, v] : dict.items) {
    if (k.text() != nullptr && k.text()->bytes() == key) return &v;
  }
  return nullptr;
}

namespace {

Result<Value> converted(const nlohmann::ordered_json& json, std::string_view where, int room) {
  if (room == 0) {
    return base::invalid_argument({.where = std::string(where),
                                   .what = "is nested too deeply",
                                   .allowed = std::to_string(kMaxValueDepth) + " levels"});
  }
  if (json.is_null()) return Value(None{});
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_string()) return text_value(json.get_ref<const std::string&>(), true);
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
    return base::invalid_argument({.where = std::string(where),
                                   .what = "has a number that is too large",
                                   .seen = json.dump(),
                                   .allowed = "whole numbers of 64 bits"});
  }
  if (json.is_number()) return Value(json.get<std::int64_t>());
  if (json.is_array()) {
    List list;
    for (const auto& element : json) {
      BELAY_ASSIGN_OR_RETURN(Value value, converted(element, where, room - 1));
      list.depth = std::max(list.depth, value.depth() + 1);
      list.items.push_back(std::move(value));
    }
    return Value(std::make_shared<const List>(std::move(list)));
  }
  Dict dict;
  for (const auto& [key, element] : json.items()) {
    BELAY_ASSIGN_OR_RETURN(Value value, converted(element, where, room - 1));
    dict.depth = std::max(dict.depth, value.depth() + 1);
    dict.items.emplace_back(text_value(key, true), std::move(value));
  }
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

}  // namespace

Result<Value> from_json(const nlohmann::ordered_json& json, std::string_view where) {
  return converted(json, where, kMaxValueDepth);
}

}  // namespace belay::text::jinja
