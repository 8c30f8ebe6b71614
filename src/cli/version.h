// `belay --version`: what this program is, what it runs on, and which libraries it was built with.
#pragma once

#include <string>

namespace belay::cli {

/// A few lines of text, or one JSON document.
std::string version_text();
std::string version_json();

}  // namespace belay::cli
