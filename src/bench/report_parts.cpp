#include "bench/report_parts.h"

#include <fmt/core.h>

#include "base/cpu.h"
#include "base/version.h"

namespace belay::bench {

using nlohmann::ordered_json;

ordered_json head_json(const Machine& machine, const TrainShape& shape,
                       const std::string& onednn_version) {
  return {{"shape", shape.name},
          {"about", shape.about()},
          {"machine", base::cpu_model()},
          {"isa", machine.isa},
          {"threads", machine.threads},
          {"dtype", machine.dtype},
          {"versions",
           {{"belay", base::kFullVersion},
            {"oneDNN", onednn_version.empty() ? ordered_json() : ordered_json(onednn_version)}}}};
}

std::string head_text(std::string_view bench, const Machine& machine, const TrainShape& shape,
                      const std::string& onednn_version) {
  return fmt::format(
      "{:<12}{}, {}: {}\n"
      "machine     {}, {}, {} thread{}, belay {}{}\n",
      bench, shape.name, machine.dtype, shape.about(), base::cpu_model(), machine.isa,
      machine.threads, machine.threads == 1 ? "" : "s", base::kFullVersion,
      onednn_version.empty() ? "" : ", oneDNN " + onednn_version);
}

std::string giga(const std::optional<double>& rate) {
  return rate && *rate > 0 ? fmt::format("{:.1f}", *rate * 1e-9) : "-";
}

std::string ratio_text(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.3f}", *ratio) : "-";
}

std::string no_product_text(const std::string& onednn_version) {
  return onednn_version.empty() ? "unknown: oneDNN was not measured (not built in, or not found)"
                                : "unknown: oneDNN has no product of this type on this processor";
}

}  // namespace belay::bench
