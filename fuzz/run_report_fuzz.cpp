// Any bytes as the files of a run: the first line is run.json, the rest metrics.jsonl. Whatever is
// accepted gives a report, whose data cannot leave its script, and text that is escaped is inert.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "report/html.h"
#include "report/sections.h"
#include "report/series.h"
#include "store/run_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string escaped = belay::report::escape(text);
  if (escaped.find_first_of("<>\"'") != std::string::npos) std::abort();
  const std::size_t end = std::min(text.find('\n'), text.size());
  const auto manifest = belay::base::parse_json(text.substr(0, end), "run.json");
  if (!manifest.ok() || !manifest->is_object()) return 0;
  belay::store::RunRecord run;
  run.name = std::string(text.substr(0, 20));
  run.manifest = manifest->node();
  run.metrics = belay::store::parse_metrics(text.substr(end), run.unreadable_lines);
  const std::string series = belay::report::script_json(belay::report::series_of(run, 16));
  if (series.find_first_of("<>&") != std::string::npos) std::abort();
  if (belay::report::sections(run, 1e9).find("</footer>") == std::string::npos) std::abort();
  return 0;
}
