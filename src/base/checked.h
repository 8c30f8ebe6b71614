// Arithmetic on sizes that come from files and requests: no value rather than a wrapped one.
#pragma once

#include <concepts>
#include <optional>

namespace belay::base {

/// a + b, or nothing when it does not fit.
template <std::integral T>
constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

/// a * b, or nothing when it does not fit.
template <std::integral T>
constexpr std::optional<T> checked_mul(T a, T b) {
  T product{};
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// The product of all factors (1 for none), or nothing when any partial product does not fit.
template <std::integral T, class Range>
constexpr std::optional<T> checked_product(const Range& factors) {
  T product = 1;
  for (const T factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) return std::nullopt;
  }
  return product;
}

}  // namespace belay::base
