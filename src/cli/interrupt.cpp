#include "cli/interrupt.h"

#include <csignal>

namespace belay::cli {
namespace {

std::atomic<bool> stop_asked{false};  // what a signal handler can reach
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  stop_asked.store(true);
  std::signal(signal, SIG_DFL);
}

}  // namespace

const std::atomic<bool>& interrupted() {
  static const bool installed = [] {
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    return true;
  }();
  static_cast<void>(installed);
  return stop_asked;
}

InterruptScope::InterruptScope() {
  stop_asked.store(false);
  before_ = std::signal(SIGINT, on_signal);
}

InterruptScope::~InterruptScope() { std::signal(SIGINT, before_); }

bool InterruptScope::asked() const { return stop_asked.load(); }

}  // namespace belay::cli
