#include "report/parts.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>

#include "base/units.h"
#include "report/html.h"
#include "store/run_record.h"

namespace belay::report {

std::string figure(std::string_view name, std::string_view value, std::string_view unit,
                   std::string_view words) {
  return fmt::format(
      "<div><dt>{}</dt><dd class=\"value\">{} <small>{}</small></dd><dd class=\"note\">{}</dd>"
      "</div>\n",
      name, value, unit, words);
}

std::vector<std::size_t> spread(std::size_t n, std::size_t most) {
  std::vector<std::size_t> indices;
  const std::size_t count = std::min(n, most);
  for (std::size_t i = 0; i < count; ++i) {
    indices.push_back(count == 1 ? n - 1 : i * (n - 1) / (count - 1));
  }
  return indices;
}

std::string fixed(std::optional<double> value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "";
}

std::string count_or_empty(std::optional<double> value) {
  return value ? base::count_text(*value) : "";
}

std::string money_text(double price) { return fmt::format("{:.2f}", price); }

std::string difference(std::optional<double> planned, std::optional<double> measured) {
  if (!planned || !measured || !(*planned > 0)) return "";
  return fmt::format("{:+.1f} %", 100 * (*measured / *planned - 1));
}

std::string utc_text(std::optional<double> seconds) {
  if (!seconds || !(*seconds > 0 && *seconds < 1e11)) return "";
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(*seconds)));
}

std::string_view cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

std::string footer(const nlohmann::json& manifest, double now) {
  const std::string version =
      store::text_at(manifest, {"version"}).value_or("of an unknown version");
  return fmt::format(
      "<footer>Written {} by belay {}. This page holds all that it shows and loads nothing; charts "
      "by Chart.js 3.9.1 (MIT). Drag over a part of a chart to enlarge it, or click it and turn "
      "the "
      "wheel; a double click shows all of it again.</footer>\n",
      utc_text(now), escape(version));
}

}  // namespace belay::report
