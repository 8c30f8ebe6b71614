#include "report/page.h"

#include <zstd.h>

#include <array>
#include <string_view>

#include "base/status.h"

// Placed by cmake/embedded_report.S.in.
extern "C" {
extern const char belay_report_page_begin[], belay_report_page_end[];
extern const char belay_report_css_begin[], belay_report_css_end[];
extern const char belay_charts_js_begin[], belay_charts_js_end[];
extern const char belay_run_report_js_begin[], belay_run_report_js_end[];
extern const char belay_climb_report_js_begin[], belay_climb_report_js_end[];
extern const char belay_chart_js_begin[], belay_chart_js_end[];
extern const std::uint64_t belay_chart_js_bytes;
}

namespace belay::report {
namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

std::string chart_js() {
  const std::string_view packed = between(belay_chart_js_begin, belay_chart_js_end);
  std::string script(belay_chart_js_bytes, '\0');
  const std::size_t unpacked =
      ZSTD_decompress(script.data(), script.size(), packed.data(), packed.size());
  BELAY_CHECK(unpacked == script.size(), "the embedded Chart.js does not unpack");
  return script;
}

std::string_view script_of(PageKind kind) {
  return kind == PageKind::kRun ? between(belay_run_report_js_begin, belay_run_report_js_end)
                                : between(belay_climb_report_js_begin, belay_climb_report_js_end);
}

}  // namespace

std::string page(const PageParts& parts) {
  const std::string_view shell = between(belay_report_page_begin, belay_report_page_end);
  const std::string chart = chart_js();
  const std::array<std::pair<std::string_view, std::string_view>, 7> places{
      {{"@TITLE@", parts.title},
       {"@STYLE@", between(belay_report_css_begin, belay_report_css_end)},
       {"@BODY@", parts.body},
       {"@SERIES@", parts.series},
       {"@CHART_JS@", chart},
       {"@CHARTS@", between(belay_charts_js_begin, belay_charts_js_end)},
       {"@SCRIPT@", script_of(parts.kind)}}};
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
