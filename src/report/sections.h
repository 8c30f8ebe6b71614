// The words, figures and tables of a run's report, as HTML. Everything from the run is escaped.
#pragma once

#include <optional>
#include <string>

#include "store/run_record.h"

namespace belay::report {

/// All sections, in the order in which they are read. `now`: seconds since 1970, the time of
/// writing.
std::string sections(const store::RunRecord& run, double now);

// Parts of it, each "" when the run holds nothing to show.
std::string figures_section(const store::RunRecord& run);
std::string comparison_section(const store::RunRecord& run);
std::string validation_section(const store::RunRecord& run);
std::string samples_section(const store::RunRecord& run);
std::string plan_section(const store::RunRecord& run);
std::string events_section(const store::RunRecord& run);

/// The value of a counter (step, tokens, flops, seconds) at the end: the last line that has it,
/// else the manifest.
std::optional<double> final_value(const store::RunRecord& run, std::string_view name);

}  // namespace belay::report
