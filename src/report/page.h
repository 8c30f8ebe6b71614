// The page of a report as the program carries it: page.html, the style, the scripts and Chart.js,
// put together with what a run or a climb fills in. The page loads nothing from anywhere.
#pragma once

#include <cstdint>
#include <string>

namespace belay::report {

/// Whose charts the page draws: run_report.js or climb_report.js.
enum class PageKind : std::uint8_t { kRun, kClimb };

/// What fills the page. All three texts are ready to stand where they go: escaped text, HTML, and
/// JSON as html.h writes it.
struct PageParts {
  PageKind kind = PageKind::kRun;
  std::string title, body, series;
};

/// The whole document. Parts are put in once: text in them that looks like a placeholder stays.
std::string page(const PageParts& parts);

}  // namespace belay::report
