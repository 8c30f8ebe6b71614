// value | NAME: filters that make texts and numbers.
#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/print.h"

namespace belay::text::jinja {
namespace {

/// The value as a text: str() for what is none.
Value texted(Interpreter& in, const Value& value) { return in.string(value); }

template <Case to>
Value cased(Interpreter& in, const Value& value, const Bound&) {
  const Value text = texted(in, value);
  if (!in.ok()) return {};
  Builder out = in.builder();
  if (in.spend(text.text()->size() / 4)) change_case(out, *text.text(), to);
  return in.finish(out);
}

Value trim(Interpreter& in, const Value& value, const Bound& a) {
  const Value text = texted(in, value);
  const auto chars = a.view(0);
  if (!in.ok() || !in.spend(text.text()->size() / 16 * (chars ? chars->size() : 1))) return {};
  return in.part(*text.text(), stripped(text.text()->bytes(), chars, true, true));
}

/// Between all characters, and at both ends: what replacing an empty text means.
std::vector<ByteSpan> single_characters(std::string_view text) {
  std::vector<ByteSpan> parts = {{0, 0}};
  const std::vector<std::size_t> at = boundaries(text);
  for (std::size_t i = 0; i + 1 < at.size(); ++i) parts.push_back({at[i], at[i + 1]});
  parts.push_back({text.size(), text.size()});
  return parts;
}

Value replace(Interpreter& in, const Value& value, const Bound& a) {
  const Value text = texted(in, value), old = in.string(*a.at(0)), fresh = in.string(*a.at(1));
  const std::int64_t most = a.whole(2, -1);
  if (!in.ok() || !in.spend(text.text()->size() / 16)) return {};
  const std::string& from = old.text()->bytes();
  std::vector<ByteSpan> parts = from.empty() ? single_characters(text.text()->bytes())
                                             : split(text.text()->bytes(), from, most);
  if (from.empty() && most >= 0 && parts.size() > static_cast<std::size_t>(most) + 1) {
    parts.resize(static_cast<std::size_t>(most) + 1);
    parts.back().end = text.text()->size();
  }
  Builder out = in.builder();
  for (std::size_t i = 0; i < parts.size() && out.ok(); ++i) {
    if (i > 0) out.add(*fresh.text());
    out.add(*text.text(), parts[i].begin, parts[i].end - parts[i].begin);
  }
  return in.finish(out);
}

Value indent(Interpreter& in, const Value& value, const Bound& a) {
  const Value text = texted(in, value);
  const bool first = a.flag(1, false), blank = a.flag(2, false);
  MarkedText margin;
  if (a.at(0) != nullptr && a.at(0)->text() != nullptr) {
    margin = *a.at(0)->text();
  } else {
    const std::int64_t width = a.whole(0, 4);
    if (width > 1000) return in.fail("indent is too wide", std::to_string(width), "at most 1000");
    margin =
        MarkedText(std::string(static_cast<std::size_t>(std::max<std::int64_t>(0, width)), ' '));
  }
  if (!in.ok() || !in.spend(text.text()->size() / 16)) return {};
  const std::string with_end = text.text()->bytes() + "\n";  // so that the last line counts
  const std::vector<ByteSpan> lines = split_lines(with_end, false);
  Builder out = in.builder();
  for (std::size_t i = 0; i < lines.size() && out.ok(); ++i) {
    const std::size_t size = lines[i].end - lines[i].begin;
    if (i > 0) out.add("\n");
    if (i == 0 ? first : blank || size > 0) out.add(margin);
    out.add(*text.text(), lines[i].begin, size);
  }
  return in.finish(out);
}

Value to_json(Interpreter& in, const Value& value, const Bound& a) {
  JsonStyle style{.ensure_ascii = a.flag(0, false), .sort_keys = a.flag(3, false)};
  if (const Value* indent = a.at(1); indent != nullptr && !indent->is_none()) {
    if (indent->text() != nullptr) {
      style.indent = indent->text()->bytes();
    } else {
      const std::int64_t width = a.whole(1, 0);
      if (width > 100) return in.fail("indent is too wide", std::to_string(width), "at most 100");
      style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(0, width)), ' ');
    }
    style.item_separator = ",";
  }
  if (const Value* pair = a.at(2); pair != nullptr && !pair->is_none()) {
    const List* list = pair->list();
    if (list == nullptr || list->items.size() != 2 || list->items[0].text() == nullptr ||
        list->items[1].text() == nullptr) {
      return in.fail("tojson: separators are not two texts", std::string(pair->kind()));
    }
    style.item_separator = list->items[0].text()->bytes();
    style.key_separator = list->items[1].text()->bytes();
  }
  if (!in.ok()) return {};
  Builder out = in.builder();
  const std::string bad = print_json(out, value, style);
  return bad.empty() ? in.finish(out) : in.fail("JSON does not have such a value", bad);
}

/// Python's int() and float() of a text: white space around, underscores between digits.
template <class T>
std::optional<T> number_in(std::string_view text, int base = 10) {
  const ByteSpan inked = stripped(text, std::nullopt, true, true);
  std::string digits(text.substr(inked.begin, inked.end - inked.begin));
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.erase(0, 1);
  if (digits.starts_with('_') || digits.ends_with('_')) return std::nullopt;
  std::erase(digits, '_');
  T value{};
  const char* const end = digits.data() + digits.size();
  std::from_chars_result read{};
  if constexpr (std::is_same_v<T, double>) {
    read = std::from_chars(digits.data(), end, value);
  } else {
    read = std::from_chars(digits.data(), end, value, base);
  }
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

std::optional<Value> whole_of(double value) {
  if (!(value > -9.2e18 && value < 9.2e18)) return std::nullopt;
  return Value(static_cast<std::int64_t>(value));
}

Value to_int(Interpreter& in, const Value& value, const Bound& a) {
  const std::int64_t base = a.whole(1, 10);
  const Value fallback = a.at(0) != nullptr ? *a.at(0) : Value(std::int64_t{0});
  if (base < 2 || base > 36)
    return in.fail("int: the base is out of range", std::to_string(base), "2 to 36");
  if (!in.ok()) return {};
  if (value.is_whole()) return Value(value.whole());
  if (value.is_float()) return whole_of(value.number()).value_or(fallback);
  if (value.text() == nullptr) return value.is_undefined() ? in.undefined(value) : fallback;
  const std::string_view text = value.text()->bytes();
  if (const auto whole = number_in<std::int64_t>(text, static_cast<int>(base)))
    return Value(*whole);
  if (const auto real = number_in<double>(text)) return whole_of(*real).value_or(fallback);
  return fallback;
}

Value to_float(Interpreter& in, const Value& value, const Bound& a) {
  const Value fallback = a.at(0) != nullptr ? *a.at(0) : Value(0.0);
  if (value.is_number()) return Value(value.number());
  if (value.text() == nullptr) return value.is_undefined() ? in.undefined(value) : fallback;
  const auto real = number_in<double>(value.text()->bytes());
  return real ? Value(*real) : fallback;
}

Value rounded(Interpreter& in, const Value& value, const Bound& a) {
  const std::int64_t digits = a.whole(0, 0);
  const std::string_view method = a.view(1).value_or("common");
  if (value.is_undefined()) return in.undefined(value);
  if (!value.is_number()) return in.fail("round takes numbers", std::string(value.kind()));
  if (digits < 0 || digits > 20)
    return in.fail("round: precision is out of range", std::to_string(digits), "0 to 20");
  if (method == "common") {
    if (value.is_whole()) return Value(value.whole());
    if (!std::isfinite(value.number())) return value;
    // Rounds the number as it is, ties to even, as Python does.
    const std::string text = fmt::format("{:.{}f}", value.number(), digits);
    return Value(std::strtod(text.c_str(), nullptr));
  }
  if (method != "ceil" && method != "floor")
    return in.fail("round has no such method", base::printable(method), "common, ceil, floor");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.number() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value absolute(Interpreter& in, const Value& value, const Bound&) {
  if (value.is_undefined()) return in.undefined(value);
  if (!value.is_number()) return in.fail("abs takes numbers", std::string(value.kind()));
  if (value.is_float()) return Value(std::fabs(value.number()));
  return value.whole() < 0 ? negated(in, value) : Value(value.whole());
}

Value same(Interpreter& in, const Value& value, const Bound&) { return texted(in, value); }

constexpr Filter kTextFilters[] = {
    {"upper", {}, 0, cased<Case::kUpper>},
    {"lower", {}, 0, cased<Case::kLower>},
    {"title", {}, 0, cased<Case::kFilterTitle>},
    {"capitalize", {}, 0, cased<Case::kCapitalize>},
    {"trim", {"chars"}, 0, trim},
    {"replace", {"old", "new", "count"}, 2, replace},
    {"indent", {"width", "first", "blank"}, 0, indent},
    {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, to_json},
    {"string", {}, 0, same},
    {"safe", {}, 0, same},
    {"int", {"default", "base"}, 0, to_int},
    {"float", {"default"}, 0, to_float},
    {"round", {"precision", "method"}, 0, rounded},
    {"abs", {}, 0, absolute},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

}  // namespace belay::text::jinja
