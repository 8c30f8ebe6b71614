#include "text/jinja/print.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/unicode.h"

namespace belay::text::jinja {
namespace {

/// Python's str.isprintable for one character.
bool is_printable(std::uint32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return code == ' ';
    default: return true;
  }
}

std::string repr_of(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos, has_double = text.find('"') != text.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Decoded c = decode_utf8(p, end);
    if (*p == quote || *p == '\\') {
      out += '\\';
      out += *p;
    } else if (*p == '\n' || *p == '\r' || *p == '\t') {
      out += *p == '\n' ? "\\n" : *p == '\r' ? "\\r" : "\\t";
    } else if (c.code == kInvalid) {
      out += *p;
    } else if (is_printable(c.code)) {
      out.append(p, c.size);
    } else {
      out += c.code < 0x100     ? fmt::format("\\x{:02x}", c.code)
             : c.code < 0x10000 ? fmt::format("\\u{:04x}", c.code)
                                : fmt::format("\\U{:08x}", c.code);
    }
    p += c.size;
  }
  out += quote;
  return out;
}

/// Values of one line but lists, dicts and strings.
std::string plain_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.whole() != 0 ? "True" : "False";
  if (value.is_int()) return std::to_string(value.whole());
  if (value.is_float()) return float_text(value.number());
  return fmt::format("<{}>", value.kind());
}

void print_items(Builder& out, const List& list) {
  out.add(list.tuple ? "(" : "[");
  for (std::size_t i = 0; i < list.items.size() && out.ok(); ++i) {
    if (i > 0) out.add(", ");
    print_repr(out, list.items[i]);
  }
  out.add(!list.tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
}

std::string json_string(std::string_view text, bool ascii) {
  std::string out = "\"";
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Decoded c = decode_utf8(p, end);
    constexpr std::string_view kShort = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
    const auto at = kShort.find(*p);
    if (at != kShort.npos) {
      out += '\\';
      out += kLetters[at];
    } else if (c.code != kInvalid && (c.code < 0x20 || (ascii && c.code > 0x7E))) {
      if (c.code == 0x7F) {
        out += *p;
      } else if (c.code < 0x10000) {
        out += fmt::format("\\u{:04x}", c.code);
      } else {
        const std::uint32_t rest = c.code - 0x10000;
        out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
      }
    } else {
      out.append(p, c.size);
    }
    p += c.size;
  }
  return out + '"';
}

class JsonPrinter {
 public:
  JsonPrinter(Builder& out, const JsonStyle& style) : out_(out), style_(style) {}

  /// False at a value that JSON does not have.
  bool value(const Value& v) {
    if (!out_.budget().spend(1) || !out_.ok()) return true;
    if (v.list() != nullptr) return list(*v.list());
    if (v.dict() != nullptr) return dict(*v.dict());
    return scalar(v);
  }
  std::string bad;

 private:
  static std::string number_text(double d) {
    if (std::isnan(d)) return "NaN";
    return std::isinf(d) ? (d < 0 ? "-Infinity" : "Infinity") : float_text(d);
  }

  std::optional<std::string> plain(const Value& v) {
    if (v.is_none()) return "null";
    if (v.is_bool()) return v.whole() != 0 ? "true" : "false";
    if (v.is_int()) return std::to_string(v.whole());
    if (v.is_float()) return number_text(v.number());
    bad = v.kind();
    return std::nullopt;
  }

  bool scalar(const Value& v) {
    if (const MarkedText* text = v.text()) {
      out_.add(json_string(text->bytes(), style_.ensure_ascii), text->has_content());
      return true;
    }
    const auto text = plain(v);
    if (text) out_.add(*text);
    return text.has_value();
  }

  bool key(const Value& v) {
    if (v.text() != nullptr) return scalar(v);
    const auto text = plain(v);
    if (text) out_.add('"' + *text + '"');
    return text.has_value();
  }

  void line(int level) {
    if (!style_.indent) return;
    out_.add("\n");
    for (int i = 0; i < level && out_.ok(); ++i) out_.add(*style_.indent);
  }

  bool list(const List& list) {
    if (list.items.empty()) return out_.add("[]"), true;
    out_.add("[");
    ++level_;
    for (std::size_t i = 0; i < list.items.size() && out_.ok(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      line(level_);
      if (!value(list.items[i])) return false;
    }
    line(--level_);
    out_.add("]");
    return true;
  }

  bool dict(const Dict& dict) {
    if (dict.items.empty()) return out_.add("{}"), true;
    std::vector<const std::pair<Value, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style_.sort_keys) {
      std::stable_sort(items.begin(), items.end(), [&](const auto* a, const auto* b) {
        return compare(a->first, b->first, out_.budget()).value_or(0) < 0;
      });
    }
    out_.add("{");
    ++level_;
    for (std::size_t i = 0; i < items.size() && out_.ok(); ++i) {
      if (i > 0) out_.add(style_.item_separator);
      line(level_);
      if (!key(items[i]->first)) return false;
      out_.add(style_.key_separator);
      if (!value(items[i]->second)) return false;
    }
    line(--level_);
    out_.add("}");
    return true;
  }

  Builder& out_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto made =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(made.ptr - buffer));
  const auto e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), made.ptr, exponent);
  std::string digits(text.substr(0, e));
  const std::string sign = digits[0] == '-' ? "-" : "";
  std::erase_if(digits, [](char c) { return c == '-' || c == '.'; });
  const int n = static_cast<int>(digits.size());
  const auto upto = [&](int i) { return static_cast<std::size_t>(i); };
  if (exponent < -4 || exponent >= 16) {  // as repr of Python
    if (n > 1) digits.insert(1, ".");
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(upto(-exponent - 1), '0') + digits;
  if (n <= exponent + 1) return sign + digits + std::string(upto(exponent + 1 - n), '0') + ".0";
  return sign + digits.substr(0, upto(exponent + 1)) + "." + digits.substr(upto(exponent + 1));
}

void print(Builder& out, const Value& value) {
  if (value.text() != nullptr) {
    out.add(*value.text());
  } else if (!value.is_undefined()) {
    print_repr(out, value);
  }
}

void print_repr(Builder& out, const Value& value) {
  if (!out.budget().spend(1) || !out.ok()) return;
  if (const MarkedText* text = value.text()) {
    out.add(repr_of(text->bytes()), text->has_content());
  } else if (value.list() != nullptr) {
    print_items(out, *value.list());
  } else if (value.dict() != nullptr) {
    out.add("{");
    bool first = true;
    for (const auto& [key, item] : value.dict()->items) {
      if (!out.ok()) break;
      if (!first) out.add(", ");
      first = false;
      print_repr(out, key);
      out.add(": ");
      print_repr(out, item);
    }
    out.add("}");
  } else {
    out.add(value.is_undefined() ? "Undefined" : plain_text(value));
  }
}

std::string print_json(Builder& out, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(out, style);
  printer.value(value);
  return printer.bad;
}

}  // namespace belay::text::jinja
