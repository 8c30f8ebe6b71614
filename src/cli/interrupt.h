// Ctrl-C: the first one asks the work to stop at the next good place, the second one ends the
// program.
#pragma once

#include <atomic>

namespace belay::cli {

/// Becomes true on SIGINT or SIGTERM; the handlers are installed by the first call.
const std::atomic<bool>& interrupted();

/// While it lives, the first Ctrl-C only asks; afterwards Ctrl-C does what it did before.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  bool asked() const;

 private:
  void (*before_)(int);
};

}  // namespace belay::cli
