#include "cli/runs_parts.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "store/run_record.h"

namespace belay::cli {

using nlohmann::ordered_json;

base::Result<std::string> find_run(base::Env& env, const std::string& runs,
                                   const std::string& name) {
  if (store::is_run_folder(env, name)) return name;
  const std::string below = base::join_path(runs, name);
  if (store::is_run_folder(env, below)) return below;
  return base::not_found(
      {.where = base::printable(name),
       .what = "is no run: neither it nor " + base::printable(below) + " holds a run.json",
       .next = "belay runs list shows those that there are"});
}

ordered_json number_json(std::optional<double> value) {
  return value ? ordered_json(*value) : ordered_json();
}

ordered_json row_json(const store::RunRow& row) {
  return {{"name", row.name},
          {"kind", row.kind},
          {"status", row.status},
          {"data", row.data},
          {"started", number_json(row.started)},
          {"parameters", number_json(row.parameters)},
          {"steps", number_json(row.steps)},
          {"tokens", number_json(row.tokens)},
          {"flops", number_json(row.flops)},
          {"seconds", number_json(row.seconds)},
          {"tokens_per_second", number_json(row.tokens_per_second)},
          {"loss", number_json(row.loss)},
          {"val_loss", number_json(row.val_loss)},
          {"val_bpb", number_json(row.val_bpb)},
          {"error", row.error}};
}

std::string plain(std::string_view text, std::size_t most) {
  const std::string quoted = base::printable(text, most);
  return quoted.substr(1, quoted.size() - 2);
}

std::string count(std::optional<double> value) { return value ? base::count_text(*value) : "-"; }
std::string fixed(std::optional<double> value) {
  return value ? fmt::format("{:.4f}", *value) : "-";
}
std::string duration(std::optional<double> value) {
  return value ? base::duration_text(*value) : "-";
}

}  // namespace belay::cli
