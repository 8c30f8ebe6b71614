#include "store/csv.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/json.h"
#include "base/trim.h"

namespace belay::store {
namespace {

using base::Result;
using base::Status;

/// The first byte that is no part of a UTF-8 character, or the size of the text.
std::size_t valid_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t at = 0;
  while (at < text.size()) {
    const unsigned char b = byte(at);
    const std::size_t n = b < 0x80   ? 1
                          : b < 0xC2 ? 0
                          : b < 0xE0 ? 2
                          : b < 0xF0 ? 3
                          : b < 0xF5 ? 4
                                     : 0;
    if (n == 0 || n > text.size() - at) return at;
    for (std::size_t i = 1; i < n; ++i) {
      if ((byte(at + i) & 0xC0) != 0x80) return at;
    }
    const unsigned char second = n > 1 ? byte(at + 1) : 0;
    if ((b == 0xE0 && second < 0xA0) || (b == 0xED && second >= 0xA0) ||
        (b == 0xF0 && second < 0x90) || (b == 0xF4 && second >= 0x90)) {
      return at;
    }
    at += n;
  }
  return at;
}

/// Walks the text once, a row at a time.
class CsvWalk {
 public:
  CsvWalk(std::string_view text, const std::string& file, const CsvLimits& limits)
      : text_(text), file_(file), limits_(limits) {}

  bool done() const { return at_ == text_.size(); }
  std::size_t line() const { return line_; }

  /// The cells up to the next line end outside quotes, which is taken too.
  Result<std::vector<std::string>> row() {
    std::vector<std::string> cells;
    for (;;) {
      std::string cell;
      BELAY_RETURN_IF_ERROR(at("\"") ? quoted(cell) : plain(cell));
      if (cell.size() > limits_.max_cell_bytes) {
        return error("holds a cell that is too long", std::to_string(cell.size()) + " bytes",
                     "up to " + std::to_string(limits_.max_cell_bytes));
      }
      cells.push_back(std::move(cell));
      if (cells.size() > limits_.max_columns) {
        return error("has too many cells", "more than " + std::to_string(limits_.max_columns),
                     "up to " + std::to_string(limits_.max_columns));
      }
      if (at(",")) {
        ++at_;
        continue;
      }
      if (!done()) line_end();
      return cells;
    }
  }

  Status error(std::string what, std::string seen = {}, std::string allowed = {}) const {
    return base::corrupt({.where = file_ + ": line " + std::to_string(line_),
                          .what = std::move(what),
                          .seen = std::move(seen),
                          .allowed = std::move(allowed)});
  }

 private:
  /// The next byte is one of these.
  bool at(std::string_view bytes) const {
    return !done() && bytes.find(text_[at_]) != std::string_view::npos;
  }

  void line_end() {
    at_ += text_.substr(at_, 2) == "\r\n" ? 2 : 1;
    ++line_;
  }

  Status plain(std::string& cell) {
    const std::size_t end = std::min(text_.find_first_of(",\r\n\"", at_), text_.size());
    cell = text_.substr(at_, end - at_);
    at_ = end;
    if (at("\"")) return error("has a quote inside a cell that does not begin with one");
    return {};
  }

  Status quoted(std::string& cell) {
    ++at_;
    for (;;) {
      if (done()) return error("ends inside a quoted cell", {}, "a closing quote");
      if (at("\"")) {
        if (text_.substr(at_, 2) != "\"\"") break;
        ++at_;
      }
      if (at("\n") || (at("\r") && text_.substr(at_, 2) != "\r\n")) ++line_;
      cell += text_[at_++];
    }
    ++at_;
    if (!done() && !at(",\r\n")) {
      return error("goes on after the closing quote of a cell",
                   base::printable(text_.substr(at_, 8)), "a comma or a line end");
    }
    return {};
  }

  std::string_view text_;
  const std::string& file_;
  const CsvLimits& limits_;
  std::size_t at_ = 0, line_ = 1;
};

Status check_text(std::string_view text, const std::string& file, const CsvLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return base::resource_exhausted({.where = file,
                                     .what = "is too large for a table",
                                     .seen = std::to_string(text.size()) + " bytes",
                                     .allowed = "up to " + std::to_string(limits.max_bytes)});
  }
  const std::size_t valid = std::min(valid_utf8(text), text.find('\0'));
  if (valid < text.size()) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(valid), '\n');
    return base::corrupt({.where = file + ": line " + std::to_string(line),
                          .what = "is no text in UTF-8",
                          .seen = base::printable(text.substr(valid, 8)),
                          .next = "give a table as comma-separated text"});
  }
  return {};
}

Status check_columns(const CsvTable& table) {
  const std::string where = table.file + ": line 1";
  std::set<std::string_view> seen;
  for (const std::string& name : table.columns) {
    if (seen.insert(name).second) continue;
    return base::corrupt({.where = where,
                          .what = "names a column twice",
                          .seen = base::printable(name),
                          .next = "rename or drop one of them"});
  }
  if (table.columns.size() == 1 && table.columns[0].find_first_of(";\t") != std::string::npos) {
    return base::corrupt({.where = where,
                          .what = "separates its columns by something else than commas",
                          .seen = base::printable(table.columns[0]),
                          .next = "write the table with commas"});
  }
  return {};
}

}  // namespace

std::optional<std::size_t> CsvTable::find(std::string_view column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

Result<std::size_t> CsvTable::column(std::string_view name) const {
  if (const auto found = find(name)) return *found;
  const auto near = base::nearest(name, {columns.begin(), columns.end()});
  std::string all;
  for (std::size_t c = 0; c < std::min<std::size_t>(columns.size(), 12); ++c) {
    all += (c == 0 ? "" : ", ") + base::printable(columns[c], 40);
  }
  if (columns.size() > 12) all += ", ...";
  return base::invalid_argument(
      {.where = file,
       .what = "has no column " + base::printable(name),
       .allowed = all,
       .next = near ? "did you mean " + base::printable(*near) + "?" : std::string()});
}

Result<double> CsvTable::number(std::size_t row, std::size_t column) const {
  std::string_view text = base::trimmed(rows.at(row).at(column), " \t");
  if (text.empty()) {
    return base::corrupt({.where = where(row, column), .what = "is empty", .allowed = "a number"});
  }
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault == std::errc() && end == text.data() + text.size()) return value;
  return base::corrupt({.where = where(row, column),
                        .what = fault == std::errc::result_out_of_range
                                    ? "is outside what a number can hold"
                                    : "is no number",
                        .seen = base::printable(text, 40)});
}

std::string CsvTable::where(std::size_t row, std::size_t column) const {
  return file + ": line " + std::to_string(lines.at(row)) + ", column " +
         base::printable(columns.at(column), 60);
}

Result<CsvTable> parse_csv(std::string_view text, const std::string& file,
                           const CsvLimits& limits) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  BELAY_RETURN_IF_ERROR(check_text(text, file, limits));
  CsvTable table;
  table.file = file;
  CsvWalk walk(text, file, limits);
  std::size_t n_cells = 0;
  while (!walk.done()) {
    const std::size_t line = walk.line();
    BELAY_ASSIGN_OR_RETURN(std::vector<std::string> cells, walk.row());
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (table.columns.empty()) {
      table.columns = std::move(cells);
      BELAY_RETURN_IF_ERROR(check_columns(table));
      continue;
    }
    const std::string where = file + ": line " + std::to_string(line);
    if (cells.size() != table.columns.size()) {
      return base::corrupt({.where = where,
                            .what = "has another number of cells than the header",
                            .seen = std::to_string(cells.size()),
                            .allowed = std::to_string(table.columns.size())});
    }
    n_cells += cells.size();
    if (n_cells > limits.max_cells) {
      return base::resource_exhausted({.where = where,
                                       .what = "the table has too many cells",
                                       .allowed = "up to " + std::to_string(limits.max_cells)});
    }
    table.rows.push_back(std::move(cells));
    table.lines.push_back(line);
  }
  if (table.rows.empty()) {
    return base::corrupt({.where = file,
                          .what = "holds no rows",
                          .allowed = "a line of column names, then a line a row"});
  }
  return table;
}

Result<CsvTable> read_csv(base::Env& env, const std::string& path, const CsvLimits& limits) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, limits.max_bytes));
  return parse_csv(text, path, limits);
}

}  // namespace belay::store
