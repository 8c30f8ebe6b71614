// A climb for tests of its report. THE LOSSES ARE MADE UP: a law of known numbers with noise on it,
// at sizes and costs that models of those depths and widths have. The samples are real: written by
// models of 0.06M to 1.4M parameters that Belay trained on the embedded novels.
#pragma once

#include <nlohmann/json.hpp>

namespace belay::test {

/// A climb.json as it stands at the end. Without `ran` the next rung is predicted and not trained.
nlohmann::json climb_example(bool ran = true);

}  // namespace belay::test
