// Ctrl-C: the first one asks the work to stop at the next good place, the second one ends the
// program.
#pragma once

#include <atomic>

namespace belay::cli {

/// Becomes true on SIGINT or SIGTERM; the handlers are installed by the first call.
const std::atomic<bool>& interrupted();

}  // namespace belay::cli
