// Arithmetic as Python has it: whole numbers stay whole but for "/", "//" and "%" round down, bools
// are 0 and 1, texts and lists can be added and repeated. Whole numbers beyond 64 bits are a fault.
#include <fmt/format.h>

#include <cmath>

#include "text/jinja/builtins.h"

namespace belay::text::jinja {
namespace {

std::string_view symbol(Op op) {
  switch (op) {
    case Op::kAdd: return "+";
    case Op::kSubtract: return "-";
    case Op::kMultiply: return "*";
    case Op::kDivide: return "/";
    case Op::kFloorDivide: return "//";
    case Op::kModulo: return "%";
    default: return "**";
  }
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/// Python's float modulo: the sign is the divisor's.
double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

/// Whole numbers to a whole power, or nothing beyond 64 bits.
std::optional<std::int64_t> whole_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  if (base == 0 || base == 1) return exponent == 0 ? 1 : base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  for (; exponent > 0; --exponent) {  // fewer than 64 rounds
    if (__builtin_mul_overflow(result, base, &result)) return std::nullopt;
  }
  return result;
}

Value whole(Interpreter& in, Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool fits = true;
  switch (op) {
    case Op::kAdd: fits = !__builtin_add_overflow(a, b, &result); break;
    case Op::kSubtract: fits = !__builtin_sub_overflow(a, b, &result); break;
    case Op::kMultiply: fits = !__builtin_mul_overflow(a, b, &result); break;
    case Op::kPower:
      if (const auto power = whole_power(a, b)) return Value(*power);
      fits = false;
      break;
    default:
      if (a == INT64_MIN && b == -1) {
        fits = op == Op::kModulo;
      } else {
        result = op == Op::kModulo ? a - floor_divide(a, b) * b : floor_divide(a, b);
      }
  }
  return fits ? Value(result) : in.fail("a whole number becomes too large", {}, "64 bits");
}

Value real(Interpreter& in, Op op, double a, double b) {
  switch (op) {
    case Op::kAdd: return Value(a + b);
    case Op::kSubtract: return Value(a - b);
    case Op::kMultiply: return Value(a * b);
    case Op::kDivide: return Value(a / b);
    case Op::kModulo: return Value(modulo(a, b));
    case Op::kFloorDivide: {
      const double q = std::round((a - modulo(a, b)) / b);
      return Value(q == 0 ? std::copysign(0.0, a / b) : q);
    }
    default: break;
  }
  if (a == 0 && b < 0) return in.fail("a division by zero");
  if (a < 0 && b != std::floor(b)) return in.fail("a root of a negative number is taken");
  return Value(std::pow(a, b));
}

Value numbers(Interpreter& in, Op op, const Value& a, const Value& b) {
  const bool divides = op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo;
  if (divides && b.number() == 0) return in.fail("a division by zero");
  if (a.is_whole() && b.is_whole() && op != Op::kDivide && (op != Op::kPower || b.whole() >= 0)) {
    return whole(in, op, a.whole(), b.whole());
  }
  return real(in, op, a.number(), b.number());
}

Value added(Interpreter& in, const Value& a, const Value& b) {
  if (a.text() != nullptr) {
    Builder out = in.builder();
    out.add(*a.text());
    out.add(*b.text());
    return in.finish(out);
  }
  std::vector<Value> items;
  if (!in.spend(a.list()->items.size() + b.list()->items.size())) return {};
  items.insert(items.end(), a.list()->items.begin(), a.list()->items.end());
  items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
  return in.list(std::move(items), a.list()->tuple);
}

/// Doubles what is repeated, so that the work is the size of the result.
Value repeated(Interpreter& in, const Value& value, std::int64_t times) {
  const MarkedText* text = value.text();
  const std::size_t size = text != nullptr ? text->size() : value.list()->items.size();
  if (times <= 0 || size == 0) {
    return text != nullptr ? text_value("") : in.list({}, value.list()->tuple);
  }
  auto n = static_cast<std::uint64_t>(times);
  const std::size_t most = text != nullptr ? in.max_bytes() : Interpreter::kMaxItems;
  if (n > most / size) return in.too_large();
  if (text == nullptr) {
    std::vector<Value> items;
    while (n-- > 0 && in.spend(size)) {
      items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
    }
    return in.list(std::move(items), value.list()->tuple);
  }
  Builder out = in.builder();
  for (MarkedText block = *text; out.ok(); block.append(MarkedText(block))) {
    if (n % 2 == 1) out.add(block);
    n /= 2;
    if (n == 0) break;
  }
  return in.finish(out);
}

}  // namespace

Value negated(Interpreter& in, const Value& value) {
  if (value.is_float()) return Value(-value.number());
  return whole(in, Op::kSubtract, 0, value.whole());
}

Value operate(Interpreter& in, Op op, const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return in.undefined(a.is_undefined() ? a : b);
  if (a.is_number() && b.is_number()) return numbers(in, op, a, b);
  const auto repeats = [](const Value& v) { return v.text() != nullptr || v.list() != nullptr; };
  if (op == Op::kAdd) {
    const bool lists = a.list() != nullptr && b.list() != nullptr;
    if ((a.text() != nullptr && b.text() != nullptr) ||
        (lists && a.list()->tuple == b.list()->tuple)) {
      return added(in, a, b);
    }
  } else if (op == Op::kMultiply) {
    if (repeats(a) && b.is_whole()) return repeated(in, a, b.whole());
    if (repeats(b) && a.is_whole()) return repeated(in, b, a.whole());
  }
  return in.fail(fmt::format("'{}' does not take these values", symbol(op)),
                 fmt::format("{} and {}", a.kind(), b.kind()));
}

}  // namespace belay::text::jinja
