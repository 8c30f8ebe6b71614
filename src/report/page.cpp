#include "report/page.h"

#include <zstd.h>

#include <array>
#include <cstdint>

#include "base/status.h"

// Placed by cmake/embedded_report.S.in.
extern "C" {
extern const char belay_report_page_begin[], belay_report_page_end[];
extern const char belay_chart_js_begin[], belay_chart_js_end[];
extern const std::uint64_t belay_chart_js_bytes;
}

namespace belay::report {
namespace {

std::string chart_js() {
  std::string script(belay_chart_js_bytes, '\0');
  const auto size = static_cast<std::size_t>(belay_chart_js_end - belay_chart_js_begin);
  const std::size_t unpacked =
      ZSTD_decompress(script.data(), script.size(), belay_chart_js_begin, size);
  BELAY_CHECK(unpacked == script.size(), "the embedded Chart.js does not unpack");
  return script;
}

}  // namespace

std::string page(const PageParts& parts) {
  const std::string_view shell(
      belay_report_page_begin,
      static_cast<std::size_t>(belay_report_page_end - belay_report_page_begin));
  const std::string script = chart_js();
  const std::array<std::pair<std::string_view, std::string_view>, 4> places{
      {{"@TITLE@", parts.title},
       {"@BODY@", parts.body},
       {"@SERIES@", parts.series},
       {"@CHART_JS@", script}}};
  std::string out;
  std::size_t from = 0;
  for (const auto& [name, value] : places) {  // in the order in which they stand
    const std::size_t at = shell.find(name, from);
    BELAY_CHECK(at != std::string_view::npos, "the page has a place for every part");
    out += shell.substr(from, at - from);
    out += value;
    from = at + name.size();
  }
  out += shell.substr(from);
  return out;
}

}  // namespace belay::report
