#include "forecast/dates.h"

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <cmath>

namespace belay::forecast {
namespace {

constexpr double kLastDay = 2932896;  // 9999-12-31

/// `digits` decimal digits at `at`; -1 for anything else.
int digits_at(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  const char* begin = text.data() + at;
  const auto [end, fault] = std::from_chars(begin, begin + digits, value);
  return fault == std::errc() && end == begin + digits && *begin != '-' ? value : -1;
}

}  // namespace

std::optional<double> parse_date(std::string_view text) {
  if (text.size() < 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  if (text.size() > 10 && text[10] != 'T' && text[10] != ' ') return std::nullopt;
  const int year = digits_at(text, 0, 4), month = digits_at(text, 5, 2),
            day = digits_at(text, 8, 2);
  if (year < 1000 || month < 1 || day < 1) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
}

std::string date_text(double days) {
  if (!(days <= kLastDay)) return "never";
  const auto whole = static_cast<int>(std::floor(std::max(days, -354285.0)));  // 1000-01-01
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(whole))};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

}  // namespace belay::forecast
