// The words, figures and tables of a climb's report, as HTML. Everything from the climb is escaped.
#pragma once

#include <string>

#include "report/climb_record.h"

namespace belay::report {

/// All sections, in the order in which they are read. `now`: seconds since 1970, the time of
/// writing.
std::string climb_sections(const Climb& climb, double now);

// Parts of it, each "" when the climb knows nothing to show.
std::string climb_header(const Climb& climb);
std::string climb_strip(const Climb& climb);
std::string climb_figures(const Climb& climb);
std::string climb_samples(const Climb& climb);
std::string climb_rungs(const Climb& climb);
std::string climb_cost(const Climb& climb);
std::string climb_beyond(const Climb& climb);
std::string climb_trust(const Climb& climb);

/// What was said of the next rung beside what came, as far as it is known.
struct Verdict {
  std::optional<double> median, low80, high80, measured, no_change, straight_line;
  std::optional<double> crps, crps_no_change, crps_straight_line;  // mean score of the outcome

  /// |predicted - measured| in percent of what was measured.
  std::optional<double> percent_off(std::optional<double> predicted) const;
  /// What was measured lies in the 80 % interval.
  std::optional<bool> inside() const;
  /// The baseline came nearer, or scored better with the interval counted.
  bool lost_to(std::optional<double> baseline, std::optional<double> baseline_crps) const;
};
Verdict verdict_of(const Climb& climb);

}  // namespace belay::report
