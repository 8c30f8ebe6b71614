#include "forecast/series.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/json.h"
#include "forecast/dates.h"

namespace belay::forecast {
namespace {

using base::Result;
using base::Status;
using store::CsvTable;

/// A table that the field shares.
struct KnownTable {
  const char* title;
  std::vector<const char*> columns;  // by which it is known
  const char* x;
  const char* y;
  const char* y_high;  // the upper end where y is a range, or null
  const char* label;
  const char* unit;
  std::vector<const char*> where;
  bool frontier;
  const char* source;
};

const std::vector<KnownTable>& known_tables() {
  static const std::vector<KnownTable> tables = {
      {"METR time horizon at 50 % success",
       {"benchmark_version", "model", "release_date", "p50_minutes"},
       "release_date",
       "p50_minutes",
       nullptr,
       "model",
       "minutes",
       {"benchmark_version=1.1"},
       true,
       "METR, time horizons"},
      {"SWE-bench, resolved",
       {"board", "date", "name", "resolved_pct"},
       "date",
       "resolved_pct",
       nullptr,
       "name",
       "%",
       {"board=Verified"},
       true,
       "swebench.com leaderboards"},
      {"run-rate revenue",
       {"company", "date", "kind", "usd_billion_low", "usd_billion_high"},
       "date",
       "usd_billion_low",
       "usd_billion_high",
       "company",
       "billion USD a year",
       {"company=Anthropic", "kind=annualized run-rate"},
       false,
       "company statements and press"},
      {"score",
       {"benchmark", "model_version", "release_date", "score_fraction"},
       "release_date",
       "score_fraction",
       nullptr,
       "model_version",
       "fraction",
       {},
       true,
       "Epoch AI, benchmark data"}};
  return tables;
}

const KnownTable* known(const CsvTable& table) {
  for (const KnownTable& candidate : known_tables()) {
    if (std::all_of(candidate.columns.begin(), candidate.columns.end(),
                    [&](const char* c) { return table.find(c).has_value(); })) {
      return &candidate;
    }
  }
  return nullptr;
}

bool contains_any(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](const char* w) { return text.find(w) != std::string::npos; });
}

/// "column=value" as a column's place and the value.
struct Condition {
  std::size_t column = 0;
  std::string name, value;
};

Result<std::vector<Condition>> conditions(const CsvTable& table,
                                          const std::vector<std::string>& where) {
  std::vector<Condition> all;
  for (const std::string& text : where) {
    const std::size_t at = text.find('=');
    if (at == std::string::npos || at == 0) {
      return base::invalid_argument({.where = "--where",
                                     .what = "is no condition",
                                     .seen = base::printable(text),
                                     .allowed = "COLUMN=VALUE"});
    }
    Condition c{0, text.substr(0, at), text.substr(at + 1)};
    BELAY_ASSIGN_OR_RETURN(c.column, table.column(c.name));
    all.push_back(std::move(c));
  }
  return all;
}

Status nothing_left(const CsvTable& table, const Condition& condition) {
  std::set<std::string> values;
  for (const auto& row : table.rows) values.insert(row[condition.column]);
  std::string some;
  std::size_t n = 0;
  for (const std::string& v : values) {
    if (n == 8) break;
    some += (n++ == 0 ? "" : ", ") + base::printable(v, 40);
  }
  if (values.size() > n) some += ", ...";
  return base::invalid_argument({.where = table.file,
                                 .what = "has no row with " + base::printable(condition.name) +
                                         " = " + base::printable(condition.value),
                                 .allowed = some});
}

struct Columns {
  std::size_t x = 0, y = 0;
  std::optional<std::size_t> y_high, label;
};

/// Fills in what the request leaves open; says what was chosen.
Result<Columns> choose_columns(const CsvTable& table, const SeriesRequest& request,
                               Series& series) {
  const KnownTable* shared = request.y_column.empty() ? known(table) : nullptr;
  Columns columns;
  series.by_date = request.x_is_date || request.x_column.empty();
  series.x_column = request.x_column;
  series.y_column = request.y_column;
  if (shared != nullptr) {
    series.title = shared->title;
    series.source = shared->source;
    series.unit = shared->unit;
    series.y_column = shared->y;
    if (series.x_column.empty()) series.x_column = shared->x;
    series.frontier = series.frontier || shared->frontier;
    for (const std::string condition : shared->where) {
      const std::string column = condition.substr(0, condition.find('=') + 1);
      const bool given = std::any_of(request.where.begin(), request.where.end(),
                                     [&](const std::string& w) { return w.starts_with(column); });
      if (!given) series.where.push_back(condition);
    }
    if (shared->y_high != nullptr) {
      columns.y_high = table.find(shared->y_high);
      series.notes.emplace_back("values are ranges: their geometric middle counts");
    }
    columns.label = table.find(shared->label);
  }
  for (const std::string& name : table.columns) {
    if (series.x_column.empty() && name.find("date") != std::string::npos) series.x_column = name;
  }
  if (series.x_column.empty() || series.y_column.empty()) {
    const bool date = series.x_column.empty();
    return base::invalid_argument(
        {.where = table.file,
         .what = "is no table that is known, and nothing says which column holds the " +
                 std::string(date ? "dates" : "values"),
         .next = date ? "name it with --date-column (or --x-column)" : "name it with --y-column"});
  }
  BELAY_ASSIGN_OR_RETURN(columns.x, table.column(series.x_column));
  BELAY_ASSIGN_OR_RETURN(columns.y, table.column(series.y_column));
  if (series.title.empty()) series.title = series.y_column;
  return columns;
}

/// Counts of rows that were left out, to be told.
struct LeftOut {
  std::size_t empty = 0, early = 0, bounds = 0, beaten = 0;
};

struct Row {
  Point point;
  std::string label;
};

Result<double> read_x(const CsvTable& table, std::size_t row, std::size_t column, bool date) {
  if (date) {
    if (const auto days = parse_date(table.rows[row][column])) return years_of_days(*days);
    return base::corrupt({.where = table.where(row, column),
                          .what = "is no date",
                          .seen = base::printable(table.rows[row][column], 40),
                          .allowed = "YYYY-MM-DD",
                          .next = "for amounts in place of dates, use --x-column"});
  }
  BELAY_ASSIGN_OR_RETURN(const double amount, table.number(row, column));
  if (amount > 0 && std::isfinite(amount)) return std::log(amount);
  return base::corrupt({.where = table.where(row, column),
                        .what = "has no logarithm",
                        .seen = table.rows[row][column],
                        .allowed = "an amount above 0"});
}

Result<double> read_y(const CsvTable& table, std::size_t row, const Columns& columns) {
  BELAY_ASSIGN_OR_RETURN(double y, table.number(row, columns.y));
  if (columns.y_high && !table.rows[row][*columns.y_high].empty()) {
    BELAY_ASSIGN_OR_RETURN(const double high, table.number(row, *columns.y_high));
    if (y > 0 && high >= y) y = std::sqrt(y * high);
  }
  if (std::isfinite(y)) return y;
  return base::corrupt({.where = table.where(row, columns.y),
                        .what = "is not finite",
                        .seen = table.rows[row][columns.y]});
}

Result<std::vector<Row>> read_rows(const CsvTable& table, const Columns& columns,
                                   const Series& series, double from, LeftOut& out) {
  BELAY_ASSIGN_OR_RETURN(const auto all, conditions(table, series.where));
  std::vector<Row> rows;
  std::vector<std::size_t> hits(all.size());
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const auto& cells = table.rows[r];
    bool holds = true;
    for (std::size_t c = 0; c < all.size(); ++c) {
      const bool hit = cells[all[c].column] == all[c].value;
      hits[c] += hit;
      holds = holds && hit;
    }
    if (!holds) continue;
    if (cells[columns.x].empty() || cells[columns.y].empty()) {
      ++out.empty;
      continue;
    }
    Row row;
    BELAY_ASSIGN_OR_RETURN(row.point.x, read_x(table, r, columns.x, series.by_date));
    BELAY_ASSIGN_OR_RETURN(row.point.y, read_y(table, r, columns));
    if (columns.label) row.label = cells[*columns.label];
    if (row.point.x < from) {
      ++out.early;
      continue;
    }
    rows.push_back(std::move(row));
  }
  for (std::size_t c = 0; c < all.size(); ++c) {
    if (hits[c] == 0) return nothing_left(table, all[c]);
  }
  return rows;
}

/// Fractions and percentages have a ceiling: by name and values, or as --logit says.
void choose_ceiling(const SeriesRequest& request, std::span<const Row> rows, Series& series) {
  series.ceiling = request.ceiling;
  if (series.ceiling || rows.empty()) return;
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (const Row& row : rows) {
    low = std::min(low, row.point.y);
    high = std::max(high, row.point.y);
  }
  const std::string& name = series.y_column;
  const bool percent = contains_any(name, {"pct", "percent", "%"}) && low >= 0 && high <= 100;
  const bool fraction =
      contains_any(name, {"fraction", "accuracy", "score", "rate"}) && low >= 0 && high <= 1;
  if (!percent && !fraction && !request.logit) return;
  series.ceiling = percent || high > 1 ? 100 : 1;
  series.notes.push_back(fmt::format("values are {}: a logistic curve with ceiling {} ({})",
                                     *series.ceiling == 1 ? "fractions" : "percentages",
                                     *series.ceiling,
                                     request.logit ? "--logit" : "by the column's name"));
}

void keep_frontier(std::vector<Row>& rows, LeftOut& out) {
  std::vector<Row> best;
  for (Row& row : rows) {
    if (!best.empty() && row.point.y <= best.back().point.y) {
      ++out.beaten;
    } else if (!best.empty() && best.back().point.x == row.point.x) {
      ++out.beaten;  // the earlier one of the same date
      best.back() = std::move(row);
    } else {
      best.push_back(std::move(row));
    }
  }
  rows = std::move(best);
}

void tell(const LeftOut& out, bool sorted, std::size_t shared_dates, Series& series) {
  const auto say = [&](std::size_t n, const std::string& what) {
    if (n > 0) series.notes.push_back(fmt::format("{} row{} {}", n, n == 1 ? "" : "s", what));
  };
  say(out.empty, "left out: the date or the value is missing");
  say(out.early, "left out: before " + series.from);
  say(out.bounds, series.ceiling ? "left out: at 0 or at the ceiling, where no logit is"
                                 : "left out: 0 or less, which has no logarithm");
  if (series.frontier) say(out.beaten, "left out: no new best (the frontier is fitted)");
  if (!sorted) series.notes.emplace_back("rows were not in order: sorted");
  if (shared_dates > 0) {
    series.notes.push_back(
        fmt::format("{} values share their place with another one: all count; --where picks one "
                    "series, --frontier the best",
                    shared_dates));
  }
}

}  // namespace

Result<Series> read_series(const CsvTable& table, const SeriesRequest& request) {
  Series series;
  series.where = request.where;
  series.frontier = request.frontier;
  series.from = request.from;
  series.n_rows = table.rows.size();
  BELAY_ASSIGN_OR_RETURN(const Columns columns, choose_columns(table, request, series));
  double from = -HUGE_VAL;
  if (!request.from.empty()) {
    BELAY_ASSIGN_OR_RETURN(from, parse_x(series, request.from));
  }
  LeftOut out;
  BELAY_ASSIGN_OR_RETURN(std::vector<Row> rows, read_rows(table, columns, series, from, out));
  choose_ceiling(request, rows, series);
  const double top = series.ceiling.value_or(HUGE_VAL);
  if (!request.ceiling) {  // a ceiling that was given and is passed is an error of the fit
    out.bounds =
        std::erase_if(rows, [&](const Row& row) { return row.point.y <= 0 || row.point.y >= top; });
  }
  const auto earlier = [](const Row& a, const Row& b) { return a.point.x < b.point.x; };
  const bool sorted = std::is_sorted(rows.begin(), rows.end(), earlier);
  std::stable_sort(rows.begin(), rows.end(), earlier);
  if (series.frontier) keep_frontier(rows, out);
  std::size_t shared_dates = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    shared_dates += rows[i].point.x == rows[i - 1].point.x;
  }
  tell(out, sorted, shared_dates, series);
  for (Row& row : rows) {
    series.points.push_back(row.point);
    series.labels.push_back(std::move(row.label));
  }
  return series;
}

Result<double> parse_x(const Series& series, const std::string& text) {
  if (series.by_date) {
    if (const auto days = parse_date(text)) return years_of_days(*days);
    return base::invalid_argument(
        {.what = "is no date", .seen = base::printable(text, 40), .allowed = "YYYY-MM-DD"});
  }
  store::CsvTable one{"x", {"x"}, {{text}}, {1}};
  BELAY_ASSIGN_OR_RETURN(const double amount, one.number(0, 0));
  if (amount > 0 && std::isfinite(amount)) return std::log(amount);
  return base::invalid_argument(
      {.what = "is no amount", .seen = base::printable(text, 40), .allowed = "a number above 0"});
}

std::string x_text(const Series& series, double x) {
  if (!series.by_date) return std::isfinite(x) ? fmt::format("{:.4g}", std::exp(x)) : "never";
  return date_text(days_of_years(x));
}

bool is_score_table(const CsvTable& table) {
  const KnownTable* shared = known(table);
  return shared != nullptr && std::string_view(shared->y) == "score_fraction";
}

}  // namespace belay::forecast
