// Any bytes as climb.json. Whatever is an object gives a report, whose data cannot leave its
// script.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "report/climb_sections.h"
#include "report/climb_series.h"
#include "report/html.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = belay::base::parse_json(text, "climb.json");
  if (!parsed.ok() || !parsed->is_object()) return 0;
  const belay::report::Climb climb =
      belay::report::climb_of(std::string(text.substr(0, 20)), parsed->node());
  const std::string series = belay::report::script_json(belay::report::climb_series(climb));
  if (series.find_first_of("<>&") != std::string::npos) std::abort();
  if (belay::report::climb_sections(climb, 1e9).find("</footer>") == std::string::npos) {
    std::abort();
  }
  return 0;
}
