// Python's methods of str, dict and list that templates call, and the functions that they know by
// name. What would change a list or a dict is refused, as in Jinja's immutable sandbox.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "text/jinja/builtins.h"

namespace belay::text::jinja {
namespace {

using base::Code;

struct Method {
  std::string_view name;
  Bound::Parameters parameters;
  std::size_t required;
  Value (*call)(Interpreter& in, const MarkedText& self, const Bound& a);
};

Value parts(Interpreter& in, const MarkedText& self, const std::vector<ByteSpan>& spans) {
  std::vector<Value> items;
  for (const ByteSpan& span : spans) {
    if (!in.ok()) return {};
    items.push_back(in.part(self, span));
  }
  return in.list(std::move(items));
}

bool scan(Interpreter& in, const MarkedText& self) { return in.spend(self.size() / 16); }

Value split_by(Interpreter& in, const MarkedText& self, const Bound& a, bool right) {
  const auto separator = a.view(0);
  const std::int64_t most = a.whole(1, -1);
  if (separator && separator->empty()) return in.fail("a text is split by an empty text");
  if (!scan(in, self)) return {};
  return parts(
      in, self,
      right ? split_right(self.bytes(), separator, most) : split(self.bytes(), separator, most));
}

Value strip(Interpreter& in, const MarkedText& self, const Bound& a, bool left, bool right) {
  const auto chars = a.view(0);
  if (!in.ok() || !in.spend(self.size() / 16 * (chars ? chars->size() : 1))) return {};
  return in.part(self, stripped(self.bytes(), chars, left, right));
}

/// startswith and endswith: with any of a tuple.
Value affix(Interpreter& in, const MarkedText& self, const Bound& a, bool start) {
  const std::string_view text = self.bytes();
  const auto has = [&](const Value& v) {
    if (v.text() == nullptr)
      return in.fail("a text begins or ends with texts only", std::string(v.kind())), false;
    const std::string_view part = v.text()->bytes();
    return in.spend(1 + part.size() / 64) &&
           (start ? text.starts_with(part) : text.ends_with(part));
  };
  const List* list = a.at(0)->list();
  if (list == nullptr || !list->tuple) return Value(has(*a.at(0)));
  return Value(std::any_of(list->items.begin(), list->items.end(), has));
}

Value find_in(Interpreter& in, const MarkedText& self, const Bound& a, bool last) {
  const auto part = a.view(0);
  if (!in.ok() || !part || !scan(in, self)) return in.ok() ? in.fail("find wants a text") : Value();
  const std::size_t at = last ? self.bytes().rfind(*part) : self.bytes().find(*part);
  if (at == std::string::npos) return Value(std::int64_t{-1});
  return Value(static_cast<std::int64_t>(length(std::string_view(self.bytes()).substr(0, at))));
}

Value without(Interpreter& in, const MarkedText& self, const Bound& a, bool prefix) {
  const auto part = a.view(0);
  if (!in.ok() || !part) return in.ok() ? in.fail("a text is wanted") : Value();
  const std::string_view text = self.bytes();
  ByteSpan kept{0, text.size()};
  if (prefix && text.starts_with(*part)) kept.begin = part->size();
  if (!prefix && text.ends_with(*part)) kept.end -= part->size();
  return in.part(self, kept);
}

template <Case to>
Value cased(Interpreter& in, const MarkedText& self, const Bound&) {
  Builder out = in.builder();
  if (in.spend(self.size() / 4)) change_case(out, self, to);
  return in.finish(out);
}

Value joined(Interpreter& in, const MarkedText& self, const Bound& a) {
  const auto list = in.elements(*a.at(0));
  Builder out = in.builder();
  for (std::size_t i = 0; in.ok() && i < list->items.size() && out.ok(); ++i) {
    const MarkedText* part = list->items[i].text();
    if (part == nullptr)
      return in.fail("join takes texts", std::string(list->items[i].kind()), "str");
    if (i > 0) out.add(self);
    out.add(*part);
  }
  return in.finish(out);
}

Value counted(Interpreter& in, const MarkedText& self, const Bound& a) {
  const auto part = a.view(0);
  if (!in.ok() || !part || !scan(in, self))
    return in.ok() ? in.fail("count wants a text") : Value();
  if (part->empty()) return Value(static_cast<std::int64_t>(length(self.bytes())) + 1);
  return Value(static_cast<std::int64_t>(split(self.bytes(), part, -1).size()) - 1);
}

Value replaced(Interpreter& in, const MarkedText& self, const Bound& a) {
  Arguments rest;
  for (std::size_t i = 0; i < 3 && a.at(i) != nullptr; ++i) rest.positional.push_back(*a.at(i));
  if (a.text(0) == nullptr || a.text(1) == nullptr) return in.fail("replace wants texts");
  return apply_filter(in, "replace", text_value(self), rest);
}

constexpr Method kTextMethods[] = {
    {"strip",
     {"chars"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) {
       return strip(in, s, a, true, true);
     }},
    {"lstrip",
     {"chars"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) {
       return strip(in, s, a, true, false);
     }},
    {"rstrip",
     {"chars"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) {
       return strip(in, s, a, false, true);
     }},
    {"split",
     {"sep", "maxsplit"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) {
       return split_by(in, s, a, false);
     }},
    {"rsplit",
     {"sep", "maxsplit"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return split_by(in, s, a, true); }},
    {"splitlines",
     {"keepends"},
     0,
     [](Interpreter& in, const MarkedText& s, const Bound& a) {
       return scan(in, s) ? parts(in, s, split_lines(s.bytes(), a.flag(0, false))) : Value();
     }},
    {"startswith",
     {"prefix"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return affix(in, s, a, true); }},
    {"endswith",
     {"suffix"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return affix(in, s, a, false); }},
    {"removeprefix",
     {"prefix"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return without(in, s, a, true); }},
    {"removesuffix",
     {"suffix"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return without(in, s, a, false); }},
    {"find",
     {"sub"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return find_in(in, s, a, false); }},
    {"rfind",
     {"sub"},
     1,
     [](Interpreter& in, const MarkedText& s, const Bound& a) { return find_in(in, s, a, true); }},
    {"count", {"sub"}, 1, counted},
    {"replace", {"old", "new", "count"}, 2, replaced},
    {"join", {"iterable"}, 1, joined},
    {"upper", {}, 0, cased<Case::kUpper>},
    {"lower", {}, 0, cased<Case::kLower>},
    {"title", {}, 0, cased<Case::kTitle>},
    {"capitalize", {}, 0, cased<Case::kCapitalize>},
    {"isupper",
     {},
     0,
     [](Interpreter&, const MarkedText& s, const Bound&) {
       return Value(is_case(s.bytes(), true));
     }},
    {"islower",
     {},
     0,
     [](Interpreter&, const MarkedText& s, const Bound&) {
       return Value(is_case(s.bytes(), false));
     }},
};

constexpr std::string_view kDictMethods[] = {"get", "items", "keys", "values", "copy"};
constexpr std::string_view kChanging[] = {"clear",  "pop",    "popitem", "setdefault",
                                          "update", "append", "extend",  "insert",
                                          "remove", "sort",   "reverse"};
constexpr std::string_view kListMethods[] = {"count", "index", "copy"};

bool is_among(std::string_view name, auto& names) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// Of kChanging, those that this value has.
bool would_change(const Value& value, std::string_view name) {
  if (!is_among(name, kChanging)) return false;
  const bool of_dict =
      std::find(std::begin(kChanging), std::end(kChanging), name) - std::begin(kChanging) < 5;
  return value.dict() != nullptr ? of_dict
                                 : value.list() != nullptr && !value.list()->tuple &&
                                       (!of_dict || name == "clear" || name == "pop");
}

Value call_dict(Interpreter& in, const Value& object, std::string_view name,
                const Arguments& arguments) {
  if (name == "get") {
    const Bound a(in, name, {"key", "default"}, 1, arguments);
    if (!in.ok()) return {};
    const Value* found = find(*object.dict(), *a.at(0), in.budget());
    if (!in.spend(1)) return {};
    return found != nullptr ? *found : a.at(1) != nullptr ? *a.at(1) : Value(None{});
  }
  const Bound none(in, name, {}, 0, arguments);
  if (name == "copy" || !in.ok()) return object;
  std::vector<Value> items;
  for (const auto& [key, value] : object.dict()->items) {
    if (!in.ok()) return {};
    items.push_back(name == "keys" ? key : name == "values" ? value : in.list({key, value}, true));
  }
  return in.list(std::move(items));
}

Value call_list(Interpreter& in, const Value& object, std::string_view name,
                const Arguments& arguments) {
  if (name == "copy") return object;
  const Bound a(in, name, {"value"}, 1, arguments);
  if (!in.ok()) return {};
  const auto& items = object.list()->items;
  const auto same = [&](const Value& v) { return in.equals(v, *a.at(0)); };
  if (name == "count") {
    return Value(static_cast<std::int64_t>(std::count_if(items.begin(), items.end(), same)));
  }
  const auto it = std::find_if(items.begin(), items.end(), same);
  if (it == items.end()) return in.fail("a list does not hold what index() looks for");
  return Value(static_cast<std::int64_t>(it - items.begin()));
}

Value range(Interpreter& in, const Bound& a) {
  constexpr std::int64_t kMost = 100'000;  // as in Jinja's sandbox
  const bool one = a.at(1) == nullptr;
  const std::int64_t begin = one ? 0 : a.whole(0, 0), end = a.whole(one ? 0 : 1, 0),
                     step = a.whole(2, 1);
  if (step == 0) return in.fail("range has the step 0");
  if (step > 0 ? begin >= end : begin <= end) return in.list({});
  std::int64_t way = 0;
  const bool far = step > 0 ? __builtin_sub_overflow(end, begin, &way)
                            : __builtin_sub_overflow(begin, end, &way);
  const auto size = static_cast<std::uint64_t>(step > 0 ? step : -(step + 1)) + (step > 0 ? 0 : 1);
  if (far || (static_cast<std::uint64_t>(way) - 1) / size + 1 > kMost) {
    return in.fail(Code::kResource, "a range is too long", {}, fmt::format("{} numbers", kMost));
  }
  std::vector<Value> items;
  const std::uint64_t n = (static_cast<std::uint64_t>(way) - 1) / size + 1;
  for (std::uint64_t i = 0; i < n; ++i)
    items.push_back(Value(begin + static_cast<std::int64_t>(i) * step));
  return in.list(std::move(items));
}

Value strftime_now(Interpreter& in, const Bound& a) {
  const auto format = a.view(0);
  if (!in.ok() || !format) return in.ok() ? in.fail("strftime_now wants a format") : Value();
  const auto seconds = static_cast<std::time_t>(in.now_seconds());
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char buffer[512];
  const std::string pattern(*format);
  const std::size_t n = std::strftime(buffer, sizeof buffer, pattern.c_str(), &parts);
  return text_value(std::string_view(buffer, n), a.text(0)->has_content());
}

}  // namespace

bool has_method(const Value& value, std::string_view name) {
  if (would_change(value, name)) return true;
  if (value.dict() != nullptr) return is_among(name, kDictMethods);
  if (value.list() != nullptr) return is_among(name, kListMethods);
  if (value.loop() != nullptr) return name == "cycle";
  return value.text() != nullptr && std::any_of(std::begin(kTextMethods), std::end(kTextMethods),
                                                [&](const Method& m) { return m.name == name; });
}

Value call_method(Interpreter& in, const Value& object, std::string_view name,
                  const Arguments& arguments) {
  if (would_change(object, name)) {
    return in.fail("a template cannot change a list or a dict", std::string(name) + "()",
                   "new ones, or a namespace");
  }
  if (object.dict() != nullptr) return call_dict(in, object, name, arguments);
  if (object.list() != nullptr) return call_list(in, object, name, arguments);
  if (const LoopState* loop = object.loop()) {
    const auto& values = arguments.positional;
    return values.empty() ? in.fail("cycle has no values") : values[loop->index % values.size()];
  }
  const auto* method = std::find_if(std::begin(kTextMethods), std::end(kTextMethods),
                                    [&](const Method& m) { return m.name == name; });
  const Bound bound(in, name, method->parameters, method->required, arguments);
  return in.ok() ? method->call(in, *object.text(), bound) : Value();
}

std::optional<Function> function_of(std::string_view name) {
  if (name == "range") return Function::kRange;
  if (name == "namespace") return Function::kNamespace;
  if (name == "dict") return Function::kDict;
  if (name == "raise_exception") return Function::kRaise;
  if (name == "strftime_now") return Function::kStrftimeNow;
  return std::nullopt;
}

namespace {

/// namespace(...) and dict(...): the items of a dict, when one is given, then those by keyword.
std::vector<std::pair<Value, Value>> given_items(Interpreter& in, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> items;
  if (arguments.positional.size() > 1 ||
      (arguments.positional.size() == 1 && arguments.positional[0].dict() == nullptr)) {
    in.fail("namespace and dict take one dict, and values by keyword");
    return {};
  }
  if (!arguments.positional.empty()) items = arguments.positional[0].dict()->items;
  for (const auto& [name, value] : arguments.named) items.emplace_back(text_value(name), value);
  in.spend(items.size());
  return items;
}

}  // namespace

Value call_function(Interpreter& in, Function function, const Arguments& arguments) {
  switch (function) {
    case Function::kRange: {
      const Bound a(in, "range", {"start", "stop", "step"}, 1, arguments);
      return in.ok() ? range(in, a) : Value();
    }
    case Function::kDict: {
      auto items = given_items(in, arguments);
      return in.ok() ? in.dict(std::move(items)) : Value();
    }
    case Function::kNamespace: {
      std::vector<std::pair<std::string, Value>> items;
      const Value unique = call_function(in, Function::kDict, arguments);
      if (!in.ok()) return {};
      for (const auto& [key, value] : unique.dict()->items) {
        if (key.text() == nullptr) return in.fail("a namespace has names", std::string(key.kind()));
        items.emplace_back(key.text()->bytes(), value);
      }
      return in.make_namespace(std::move(items));
    }
    case Function::kRaise: {
      const Bound a(in, "raise_exception", {"message"}, 1, arguments);
      const Value message = in.ok() ? in.string(*a.at(0)) : Value();
      if (message.text() == nullptr) return {};
      return in.fail(Code::kInvalidArgument, "the template refuses the conversation: " +
                                                 base::printable(message.text()->bytes(), 500));
    }
    case Function::kStrftimeNow: break;
  }
  const Bound a(in, "strftime_now", {"format"}, 1, arguments);
  return in.ok() ? strftime_now(in, a) : Value();
}

}  // namespace belay::text::jinja
