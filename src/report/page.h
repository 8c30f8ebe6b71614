// The page of a report as the program carries it: run_report.html and Chart.js, put together with
// what a run fills in. The page loads nothing from anywhere.
#pragma once

#include <string>
#include <string_view>

namespace belay::report {

/// What fills the page. All three are ready to stand where they go: escaped text, HTML, and JSON as
/// html.h writes it.
struct PageParts {
  std::string title, body, series;
};

/// The whole document. Parts are put in once: text in them that looks like a placeholder stays.
std::string page(const PageParts& parts);

}  // namespace belay::report
