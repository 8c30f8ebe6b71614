// From a table of runs to points of a loss law. Columns are known by their usual names or are
// named; rows can be chosen by the value of a column. A table whose rows are of several settings
// (data, vocabulary, schedule) is refused, with the choice that there is: one law is of one
// setting.
#pragma once

#include <string>
#include <vector>

#include "forecast/loss_law.h"
#include "store/csv.h"

namespace belay::forecast {

/// Empty names: found by their usual ones. Tokens may be absent where FLOPs are there, and FLOPs
/// where tokens are.
struct LossColumns {
  std::string params = {}, tokens = {}, flops = {}, loss = {}, unique = {};
  std::vector<std::string> where = {};  // "column=value"; a row must meet all
};

struct LossTable {
  std::vector<LossPoint> points;
  LossColumns columns;           // as they were found
  std::size_t drop_highest = 0;  // of a known table: the highest losses that its users leave out
  std::string note;              // and who does; empty: no known table
};

/// Errors name file, line and column. A loss may be "nan" or "inf": the fit says that it left it
/// out.
base::Result<LossTable> loss_table(const store::CsvTable& table, const LossColumns& columns,
                                   double flops_factor = 6);

}  // namespace belay::forecast
