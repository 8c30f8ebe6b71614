// belay bench time-to-loss.
#pragma once

#include "cli/verbs.h"

namespace belay::cli {

/// Adds the verb below `bench`.
void add_time_to_loss(Verbs& verbs, Verb bench);

}  // namespace belay::cli
