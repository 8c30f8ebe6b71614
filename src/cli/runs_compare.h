// belay runs compare: runs side by side, and at equal loss the compute that each group of them
// needed.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "cli/verbs.h"

namespace belay::cli {

/// names: a run each, or several seeds and lengths of one training between commas (the ends of the
/// lengths of a seed are its curve); `runs` is the folder that they may lie in. The first group is
/// the one that the others are measured against.
base::Result<ExitCode> compare_runs(Verbs& verbs, const std::string& runs,
                                    const std::vector<std::string>& names, bool json);

}  // namespace belay::cli
