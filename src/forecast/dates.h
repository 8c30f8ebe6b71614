// Calendar dates (UTC, Gregorian) as whole days since 1970-01-01, and as what a trend is fitted to:
// years of 365.25 days since then.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace belay::forecast {

inline constexpr double kDaysPerYear = 365.25, kSecondsPerDay = 86400;

/// Days since 1970-01-01 of "2025-02-28"; a time behind it ("T12:00", " 12:00") is ignored. Nothing
/// for other text and for days that no calendar has; years 1000 to 9999.
std::optional<double> parse_date(std::string_view text);

/// "2025-02-28" of days since 1970-01-01, rounded down; "never" of what is past the year 9999.
std::string date_text(double days);

inline double years_of_days(double days) { return days / kDaysPerYear; }
inline double days_of_years(double years) { return years * kDaysPerYear; }

}  // namespace belay::forecast
