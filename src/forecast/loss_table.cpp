#include "forecast/loss_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

namespace belay::forecast {
namespace {

using base::Result;
using base::Status;
using store::CsvTable;

using Names = std::vector<std::string_view>;
const Names kParams = {"params", "n_params", "parameters", "Model Size", "N"};
const Names kTokens = {"tokens", "n_tokens", "train_tokens", "D"};
const Names kFlops = {"flops", "train_flops", "Training FLOP", "FLOPs", "compute", "C"};
const Names kLoss = {"val_loss", "loss", "final_loss", "L", "loss:c4_val"};
const Names kUnique = {"unique_tokens", "n_unique", "unique", "D_unique", "U"};
const Names kName = {"name", "run", "id"};
/// What a law is a law of. A number in one of these, warm-up steps say, may follow the size.
const Names kSettings = {"dataset", "data",     "corpus", "hparams",     "warmup",
                         "decay",   "schedule", "eval",   "param_count", "tokenizer"};
const Names kVocabulary = {"vocab", "vocab_size", "vocabulary", "n_vocab"};

std::string list_of(const Names& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

std::optional<std::size_t> known(const CsvTable& table, const Names& names) {
  for (const std::string_view name : names) {
    if (const auto found = table.find(name)) return found;
  }
  return std::nullopt;
}

/// The named column, else one of the usual names, else none.
Result<std::optional<std::size_t>> column_of(const CsvTable& table, const std::string& named,
                                             const Names& usual) {
  if (named.empty()) return known(table, usual);
  BELAY_ASSIGN_OR_RETURN(const std::size_t column, table.column(named));
  return std::optional(column);
}

Status missing(const CsvTable& table, std::string_view what, const Names& usual,
               std::string_view option) {
  std::string seen;
  for (const std::string& name : table.columns) {
    seen += (seen.empty() ? "" : ", ") + base::printable(name, 24);
    if (seen.size() > 160) {
      seen += ", ...";
      break;
    }
  }
  return base::invalid_argument({.where = table.file,
                                 .what = fmt::format("has no column that is known as {}", what),
                                 .seen = seen,
                                 .allowed = list_of(usual),
                                 .next = fmt::format("name it: {} COLUMN", option)});
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool same(const std::string& cell, std::string_view value) {
  if (cell == value) return true;
  const auto a = number_in(cell), b = number_in(value);
  return a && b && *a == *b;
}

std::string values_in(const CsvTable& table, const std::vector<std::size_t>& rows, std::size_t c) {
  std::set<std::string> values;
  for (const std::size_t r : rows) values.insert(table.rows[r][c]);
  constexpr std::size_t kMost = 8;
  std::string text;
  std::size_t n = 0;
  for (const std::string& v : values) {
    if (n > 0) text += ", ";
    if (++n > kMost) return text + "...";
    text += base::printable(v, 30);
  }
  return text;
}

Result<std::vector<std::size_t>> chosen_rows(const CsvTable& table,
                                             const std::vector<std::string>& where) {
  std::vector<std::size_t> rows(table.rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) rows[r] = r;
  for (const std::string& condition : where) {
    const std::size_t split = condition.find('=');
    if (split == std::string::npos || split == 0) {
      return base::invalid_argument({.where = "--where",
                                     .what = "is no condition",
                                     .seen = base::printable(condition),
                                     .allowed = "COLUMN=VALUE"});
    }
    BELAY_ASSIGN_OR_RETURN(const std::size_t c, table.column(condition.substr(0, split)));
    const std::string value = condition.substr(split + 1);
    std::vector<std::size_t> kept;
    for (const std::size_t r : rows) {
      if (same(table.rows[r][c], value)) kept.push_back(r);
    }
    if (kept.empty()) {
      return base::invalid_argument({.where = "--where " + base::printable(condition),
                                     .what = "leaves no row",
                                     .allowed = values_in(table, rows, c)});
    }
    rows = std::move(kept);
  }
  return rows;
}

/// Rows of one setting only.
Status check_settings(const CsvTable& table, const std::vector<std::size_t>& rows) {
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const bool vocabulary =
        std::find(kVocabulary.begin(), kVocabulary.end(), table.columns[c]) != kVocabulary.end();
    if (!vocabulary &&
        std::find(kSettings.begin(), kSettings.end(), table.columns[c]) == kSettings.end()) {
      continue;
    }
    std::set<std::string_view> values;
    bool text = false;
    for (const std::size_t r : rows) {
      values.insert(table.rows[r][c]);
      text = text || !number_in(table.rows[r][c]);
    }
    if (values.size() == 1 || (!vocabulary && !text)) continue;
    return base::invalid_argument(
        {.where = fmt::format("{}: column {}", table.file, base::printable(table.columns[c], 40)),
         .what = "tells several settings apart, and one law is of one setting",
         .seen = values_in(table, rows, c),
         .next = fmt::format("choose: --where {}=VALUE", table.columns[c])});
  }
  return {};
}

/// The figure of Hoffmann et al., 2022, as Besiroglu et al., 2024, read it.
bool is_chinchilla(const CsvTable& table) {
  constexpr std::size_t kRows = 245;
  return table.rows.size() == kRows && table.find("Model Size") && table.find("Training FLOP") &&
         table.find("hex_color");
}

struct Places {
  std::size_t params = 0, loss = 0;
  std::optional<std::size_t> tokens, flops, unique, name;
};

Result<Places> places_of(const CsvTable& table, const LossColumns& columns) {
  Places at;
  BELAY_ASSIGN_OR_RETURN(const auto params, column_of(table, columns.params, kParams));
  if (!params) return missing(table, "parameters", kParams, "--params-column");
  BELAY_ASSIGN_OR_RETURN(const auto loss, column_of(table, columns.loss, kLoss));
  if (!loss) return missing(table, "the loss", kLoss, "--loss-column");
  at.params = *params;
  at.loss = *loss;
  BELAY_ASSIGN_OR_RETURN(at.tokens, column_of(table, columns.tokens, kTokens));
  BELAY_ASSIGN_OR_RETURN(at.flops, column_of(table, columns.flops, kFlops));
  BELAY_ASSIGN_OR_RETURN(at.unique, column_of(table, columns.unique, kUnique));
  if (!at.tokens && !at.flops) return missing(table, "tokens", kTokens, "--tokens-column");
  at.name = known(table, kName);
  return at;
}

Status not_positive(const CsvTable& table, std::size_t row, std::size_t column, double value) {
  return base::invalid_argument({.where = table.where(row, column),
                                 .what = "must be above 0 and finite",
                                 .seen = fmt::format("{:g}", value)});
}

Result<LossPoint> point_of(const CsvTable& table, const Places& at, std::size_t r, double factor) {
  const auto positive = [&](std::size_t column) -> Result<double> {
    BELAY_ASSIGN_OR_RETURN(const double value, table.number(r, column));
    if (!(value > 0) || !std::isfinite(value)) return not_positive(table, r, column, value);
    return value;
  };
  LossPoint p;
  BELAY_ASSIGN_OR_RETURN(p.n_params, positive(at.params));
  if (at.flops) {
    BELAY_ASSIGN_OR_RETURN(p.flops, positive(*at.flops));
  }
  if (at.tokens) {
    BELAY_ASSIGN_OR_RETURN(p.n_tokens, positive(*at.tokens));
  } else {
    p.n_tokens = p.flops / factor / p.n_params;
  }
  if (at.unique) {
    BELAY_ASSIGN_OR_RETURN(p.unique_tokens, positive(*at.unique));
  }
  BELAY_ASSIGN_OR_RETURN(p.loss, table.number(r, at.loss));
  if (p.loss <= 0 && std::isfinite(p.loss)) return not_positive(table, r, at.loss, p.loss);
  p.name = fmt::format("line {}", table.lines[r]);
  if (at.name && !table.rows[r][*at.name].empty()) {
    p.name += " " + base::printable(table.rows[r][*at.name], 60);
  }
  return p;
}

}  // namespace

Result<LossTable> loss_table(const CsvTable& table, const LossColumns& columns,
                             double flops_factor) {
  LossTable all;
  BELAY_ASSIGN_OR_RETURN(const Places at, places_of(table, columns));
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::size_t> rows, chosen_rows(table, columns.where));
  BELAY_RETURN_IF_ERROR(check_settings(table, rows));
  for (const std::size_t r : rows) {
    BELAY_ASSIGN_OR_RETURN(LossPoint p, point_of(table, at, r, flops_factor));
    all.points.push_back(std::move(p));
  }
  const auto name = [&](std::optional<std::size_t> c) {
    return c ? table.columns[*c] : std::string();
  };
  all.columns = {.params = name(at.params),
                 .tokens = name(at.tokens),
                 .flops = name(at.flops),
                 .loss = name(at.loss),
                 .unique = name(at.unique),
                 .where = columns.where};
  if (is_chinchilla(table)) {
    all.drop_highest = 5;
    all.note =
        "the points of Hoffmann et al. (2022), figure 4, as read by Besiroglu et al. (2024), who "
        "leave out the 5 highest losses";
  }
  return all;
}

}  // namespace belay::forecast
