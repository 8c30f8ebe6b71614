// A series out of a table: the rows that count, in order, with what was left out and why. Tables
// that the field shares are known by their columns and need no further options.
//   - x: dates (YYYY-MM-DD), or amounts above 0 (compute, cost), of which the logarithm is taken.
//   - Rows with an empty x or y are left out and counted; what is no date or no number is an error
//     that names its line. A value at or beyond a ceiling, or at 0 below one, has no logit: left
//     out and counted. So are values of 0 or less of other series, but for linear ones.
//   - Rows out of order are sorted. Several values on one date all count (they may be of different
//     models), which is said; a frontier keeps the best of a date, and only where it beats all
//     before.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "forecast/trend_fit.h"
#include "store/csv.h"

namespace belay::forecast {

struct SeriesRequest {
  std::string x_column = {}, y_column = {};  // empty: found by the table's columns
  bool x_is_date = true;                     // of an x_column that is given
  std::vector<std::string> where = {};       // "column=value", all of which must hold
  std::string from = {};                     // a date: rows before it are left out
  bool logit = false, frontier = false;
  std::optional<double> ceiling = {};  // 1 or 100 for fractions and percent, unless said
};

struct Series {
  std::string title;   // of a known table; else the name of y
  std::string source;  // of a known table
  std::string x_column, y_column, unit;
  std::vector<std::string> where;
  std::string from;
  bool by_date = true, frontier = false;
  std::optional<double> ceiling;
  std::vector<Point> points;        // in order of x
  std::vector<std::string> labels;  // of the points, where the table names them
  std::size_t n_rows = 0;           // of the table, before anything was left out
  std::vector<std::string> notes;   // what was chosen and left out, for people
};

base::Result<Series> read_series(const store::CsvTable& table, const SeriesRequest& request);

/// The place on the x axis of a date, or of an amount when the series is not by date.
base::Result<double> parse_x(const Series& series, const std::string& text);
/// A place on the x axis as a person reads it.
std::string x_text(const Series& series, double x);

/// The columns of a table of scores of many models on many benchmarks (see item_response.h).
bool is_score_table(const store::CsvTable& table);

}  // namespace belay::forecast
