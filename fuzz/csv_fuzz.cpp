// Any bytes as a table. What is accepted has rows as long as its header and no column twice, and a
// table that is written again, every cell quoted, reads as the same cells.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>

#include "store/csv.h"

namespace {

std::string quoted(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    line += line.empty() ? "\"" : ",\"";
    for (const char c : cell) line += c == '"' ? std::string("\"\"") : std::string(1, c);
    line += '"';
  }
  return line + "\r\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr belay::store::CsvLimits kLimits{
      .max_bytes = 1 << 16, .max_cells = 1 << 12, .max_columns = 64, .max_cell_bytes = 256};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto table = belay::store::parse_csv(text, "t.csv", kLimits);
  if (!table.ok()) {
    if (table.status().detail().where.rfind("t.csv", 0) != 0) std::abort();
    return 0;
  }
  if (table->rows.empty() || table->rows.size() != table->lines.size()) std::abort();
  if (std::set(table->columns.begin(), table->columns.end()).size() != table->columns.size()) {
    std::abort();
  }
  std::string again = quoted(table->columns);
  for (std::size_t r = 0; r < table->rows.size(); ++r) {
    if (table->rows[r].size() != table->columns.size()) std::abort();
    again += quoted(table->rows[r]);
    for (std::size_t c = 0; c < table->columns.size(); ++c) (void)table->number(r, c);
  }
  const auto second = belay::store::parse_csv(again, "t.csv");
  if (!second.ok() || second->columns != table->columns || second->rows != table->rows) {
    std::abort();
  }
  return 0;
}
