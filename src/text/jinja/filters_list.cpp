// value | NAME: filters on lists and dicts.
#include <algorithm>
#include <charconv>

#include "text/jinja/builtins.h"
#include "text/jinja/print.h"

namespace belay::text::jinja {
namespace {

/// Texts in lower case, so that sorting ignores case; others as they are.
Value folded(Interpreter& in, const Value& value, bool case_sensitive) {
  if (case_sensitive || value.text() == nullptr) return value;
  return apply_filter(in, "lower", value, {});
}

Value count(Interpreter& in, const Value& value, const Bound&) {
  if (const MarkedText* text = value.text()) {
    return in.spend(text->size() / 16) ? Value(static_cast<std::int64_t>(length(text->bytes())))
                                       : Value();
  }
  if (value.dict() != nullptr) return Value(static_cast<std::int64_t>(value.dict()->items.size()));
  const auto items = in.elements(value);
  return in.ok() ? Value(static_cast<std::int64_t>(items->items.size())) : Value();
}

Value to_list(Interpreter& in, const Value& value, const Bound&) {
  const auto items = in.elements(value);
  return in.ok() ? in.list(items->items) : Value();
}

Value end_of(Interpreter& in, const Value& value, bool first) {
  const auto items = in.elements(value);
  if (!in.ok()) return {};
  if (!items->items.empty()) return first ? items->items.front() : items->items.back();
  return Value(
      Undefined{std::make_shared<const std::string>("an empty list has no first or last")});
}

Value joined(Interpreter& in, const Value& value, const Bound& a) {
  const auto items = in.elements(value);
  const Value between = a.at(0) == nullptr ? text_value("") : in.string(*a.at(0));
  Builder out = in.builder();
  for (std::size_t i = 0; in.ok() && i < items->items.size() && out.ok(); ++i) {
    const Value& item = items->items[i];
    if (i > 0) out.add(*between.text());
    print(out, a.at(1) == nullptr ? item : attribute_path(in, item, *a.at(1)));
  }
  return in.finish(out);
}

Value defaulted(Interpreter&, const Value& value, const Bound& a) {
  const bool replace = value.is_undefined() || (a.flag(1, false) && !value.truth());
  if (!replace) return value;
  return a.at(0) == nullptr ? text_value("") : *a.at(0);
}

Value items_of(Interpreter& in, const Value& value, const Bound&) {
  if (value.is_undefined()) return in.list({});
  if (value.dict() == nullptr) return in.fail("items takes a dict", std::string(value.kind()));
  return call_method(in, value, "items", {});
}

/// The items in the order of their keys; stable, also when reversed.
Value in_order(Interpreter& in, const std::vector<Value>& items, const std::vector<Value>& keys,
               bool reverse) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
    return in.ok() && (reverse ? in.less(keys[y], keys[x]) : in.less(keys[x], keys[y]));
  });
  std::vector<Value> sorted;
  for (const std::size_t i : order) sorted.push_back(items[i]);
  return in.ok() ? in.list(std::move(sorted)) : Value();
}

Value dict_sorted(Interpreter& in, const Value& value, const Bound& a) {
  const std::string_view by = a.view(1).value_or("key");
  if (by != "key" && by != "value")
    return in.fail("dictsort: by is not known", base::printable(by), "key, value");
  const Value pairs = items_of(in, value, a);
  if (!in.ok() || value.is_undefined()) return value.is_undefined() ? in.undefined(value) : Value();
  std::vector<Value> keys;
  for (const Value& pair : pairs.list()->items) {
    keys.push_back(folded(in, pair.list()->items[by == "key" ? 0 : 1], a.flag(0, false)));
  }
  return in_order(in, pairs.list()->items, keys, a.flag(2, false));
}

/// The keys that items are sorted or told apart by: an attribute or the item itself.
std::vector<Value> keys_of(Interpreter& in, const List& list, const Value* attribute,
                           bool case_sensitive) {
  std::vector<Value> keys;
  for (const Value& item : list.items) {
    if (!in.spend(1)) break;
    const bool whole = attribute == nullptr || attribute->is_none();
    keys.push_back(folded(in, whole ? item : attribute_path(in, item, *attribute), case_sensitive));
  }
  return keys;
}

Value sorted(Interpreter& in, const Value& value, const Bound& a) {
  const auto items = in.elements(value);
  if (!in.ok()) return {};
  const std::vector<Value> keys = keys_of(in, *items, a.at(2), a.flag(1, false));
  return in.ok() ? in_order(in, items->items, keys, a.flag(0, false)) : Value();
}

Value unique(Interpreter& in, const Value& value, const Bound& a) {
  const auto items = in.elements(value);
  if (!in.ok()) return {};
  const std::vector<Value> keys = keys_of(in, *items, a.at(1), a.flag(0, false));
  std::vector<Value> seen, kept;
  for (std::size_t i = 0; i < keys.size() && in.ok(); ++i) {
    if (std::any_of(seen.begin(), seen.end(),
                    [&](const Value& v) { return in.equals(v, keys[i]); })) {
      continue;
    }
    seen.push_back(keys[i]);
    kept.push_back(items->items[i]);
  }
  return in.list(std::move(kept));
}

Value extreme(Interpreter& in, const Value& value, const Bound& a, bool most) {
  const auto items = in.elements(value);
  if (!in.ok()) return {};
  const std::vector<Value> keys = keys_of(in, *items, a.at(1), a.flag(0, false));
  std::size_t best = 0;
  for (std::size_t i = 1; i < keys.size() && in.ok(); ++i) {
    if (most ? in.less(keys[best], keys[i]) : in.less(keys[i], keys[best])) best = i;
  }
  return items->items.empty() ? end_of(in, value, true) : items->items[best];
}

Value reversed(Interpreter& in, const Value& value, const Bound&) {
  const auto items = in.elements(value);
  if (!in.ok()) return {};
  std::vector<Value> back(items->items.rbegin(), items->items.rend());
  if (value.text() == nullptr) return in.list(std::move(back));
  Builder out = in.builder();
  for (const Value& c : back) out.add(*c.text());
  return in.finish(out);
}

Value summed(Interpreter& in, const Value& value, const Bound& a) {
  const auto items = in.elements(value);
  Value sum = a.at(1) == nullptr ? Value(std::int64_t{0}) : *a.at(1);
  for (std::size_t i = 0; in.ok() && i < items->items.size(); ++i) {
    const Value& item = items->items[i];
    sum =
        operate(in, Op::kAdd, sum, a.at(0) == nullptr ? item : attribute_path(in, item, *a.at(0)));
  }
  return sum;
}

constexpr Filter kListFilters[] = {
    {"length", {}, 0, count},
    {"count", {}, 0, count},
    {"list", {}, 0, to_list},
    {"first",
     {},
     0,
     [](Interpreter& in, const Value& v, const Bound&) { return end_of(in, v, true); }},
    {"last",
     {},
     0,
     [](Interpreter& in, const Value& v, const Bound&) { return end_of(in, v, false); }},
    {"join", {"d", "attribute"}, 0, joined},
    {"default", {"default_value", "boolean"}, 0, defaulted},
    {"d", {"default_value", "boolean"}, 0, defaulted},
    {"items", {}, 0, items_of},
    {"dictsort", {"case_sensitive", "by", "reverse"}, 0, dict_sorted},
    {"sort", {"reverse", "case_sensitive", "attribute"}, 0, sorted},
    {"unique", {"case_sensitive", "attribute"}, 0, unique},
    {"min",
     {"case_sensitive", "attribute"},
     0,
     [](Interpreter& in, const Value& v, const Bound& a) { return extreme(in, v, a, false); }},
    {"max",
     {"case_sensitive", "attribute"},
     0,
     [](Interpreter& in, const Value& v, const Bound& a) { return extreme(in, v, a, true); }},
    {"reverse", {}, 0, reversed},
    {"sum", {"attribute", "start"}, 0, summed},
};

/// The arguments after the first `n`, and those by keyword.
Arguments rest_of(const Arguments& arguments, std::size_t n) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(n));
  return rest;
}

Value mapped(Interpreter& in, const List& list, const Arguments& arguments) {
  std::vector<Value> made;
  if (arguments.positional.empty()) {
    const Bound a(in, "map", {"attribute", "default"}, 1, arguments);
    for (std::size_t i = 0; i < list.items.size() && in.spend(1); ++i) {
      Value value = attribute_path(in, list.items[i], *a.at(0));
      const bool missing = value.is_undefined() && a.at(1) != nullptr;
      made.push_back(missing ? *a.at(1) : std::move(value));
    }
    return in.list(std::move(made));
  }
  const MarkedText* filter = arguments.positional[0].text();
  if (filter == nullptr) return in.fail("map wants the name of a filter, or attribute=");
  const Arguments rest = rest_of(arguments, 1);
  for (std::size_t i = 0; i < list.items.size() && in.spend(1); ++i) {
    made.push_back(apply_filter(in, filter->bytes(), list.items[i], rest));
  }
  return in.list(std::move(made));
}

Value picked(Interpreter& in, const List& list, const Arguments& arguments, bool keep,
             bool by_attribute) {
  const std::size_t off = by_attribute ? 1 : 0;
  if (arguments.positional.size() < off) return in.fail("selectattr wants an attribute");
  const bool has_test = arguments.positional.size() > off;
  const MarkedText* test = has_test ? arguments.positional[off].text() : nullptr;
  if (has_test && test == nullptr) return in.fail("select wants the name of a test");
  const Arguments rest = rest_of(arguments, has_test ? off + 1 : off);
  std::vector<Value> kept;
  for (std::size_t i = 0; i < list.items.size() && in.spend(1); ++i) {
    const Value value =
        by_attribute ? attribute_path(in, list.items[i], arguments.positional[0]) : list.items[i];
    const bool holds = has_test ? apply_test(in, test->bytes(), value, rest) : value.truth();
    if (holds == keep) kept.push_back(list.items[i]);
  }
  return in.list(std::move(kept));
}

}  // namespace

std::span<const Filter> list_filters() { return kListFilters; }

std::optional<Value> apply_picker(Interpreter& in, std::string_view name, const Value& value,
                                  const Arguments& arguments) {
  const bool maps = name == "map", selects = name == "select" || name == "selectattr";
  if (!maps && !selects && name != "reject" && name != "rejectattr") return std::nullopt;
  const auto items = in.elements(value);
  if (!in.ok()) return Value();
  if (maps) return mapped(in, *items, arguments);
  return picked(in, *items, arguments, selects, name.ends_with("attr"));
}

Value attribute_path(Interpreter& in, const Value& item, const Value& path) {
  if (path.is_whole()) return in.item(item, path);
  if (path.text() == nullptr) return in.fail("an attribute is no name", std::string(path.kind()));
  const std::string_view names = path.text()->bytes();
  Value value = item;
  for (const ByteSpan& span : split(names, ".", -1)) {
    const std::string_view name = names.substr(span.begin, span.end - span.begin);
    std::int64_t place = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), place);
    const bool is_place = !name.empty() && name[0] != '-' && read.ec == std::errc() &&
                          read.ptr == name.data() + name.size();
    value = in.item(value, is_place ? Value(place) : text_value(name));
    if (!in.ok()) return {};
  }
  return value;
}

}  // namespace belay::text::jinja
