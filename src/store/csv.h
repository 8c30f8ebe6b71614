// Tables as comma-separated text from outside: RFC 4180 (quotes, doubled quotes, line ends inside
// quotes; CRLF, LF or CR), UTF-8 with or without a byte order mark. The first line names the
// columns, each name once; every other line has as many cells; empty lines are skipped. What breaks
// these rules, or is larger than the limits, is an error that names file and line. Cells stay text
// until they are asked for as numbers. No other separators, no comments.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"

namespace belay::store {

struct CsvLimits {
  std::uint64_t max_bytes = std::uint64_t{64} << 20;
  std::size_t max_cells = std::size_t{4} << 20;  // of all rows
  std::size_t max_columns = 4096;
  std::size_t max_cell_bytes = std::size_t{64} << 10;
};

struct CsvTable {
  std::string file;  // what messages call it
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns
  std::vector<std::size_t> lines;              // where each row begins in the file; the first is 1

  std::optional<std::size_t> find(std::string_view column) const;
  /// The place of a column; an error with the nearest name when there is none.
  base::Result<std::size_t> column(std::string_view name) const;
  /// A cell as a decimal number, spaces around it allowed. "nan" and "inf" are numbers, for the
  /// caller to judge; what is empty, no number or too large for a double is an error.
  base::Result<double> number(std::size_t row, std::size_t column) const;
  /// "runs.csv: line 12, column 'loss'", for messages.
  std::string where(std::size_t row, std::size_t column) const;
};

/// Untrusted text as a table; `file` is what messages call it.
base::Result<CsvTable> parse_csv(std::string_view text, const std::string& file,
                                 const CsvLimits& limits = {});

base::Result<CsvTable> read_csv(base::Env& env, const std::string& path,
                                const CsvLimits& limits = {});

}  // namespace belay::store
