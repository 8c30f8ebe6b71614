#include "base/progress.h"

#include <fmt/core.h>

#include <cstdio>

#include "base/env.h"
#include "base/units.h"

namespace belay::base {
namespace {

constexpr double kTerminalPeriod = 0.1;  // seconds
constexpr double kPlainPeriod = 5;

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

Progress::Progress(Env& env, bool terminal, Write write)
    : env_(env),
      terminal_(terminal),
      write_(std::move(write)),
      start_(env.steady_seconds()),
      last_(terminal ? -1e300 : start_) {}

Progress::Progress(Env& env) : Progress(env, stderr_is_terminal(), write_stderr) {}

Progress::~Progress() {
  if (line_open_) write_("\n");
}

void Progress::update(const State& state) {
  const double now = env_.steady_seconds();
  if (now - last_ >= (terminal_ ? kTerminalPeriod : kPlainPeriod)) show(state, now);
}

void Progress::finish(const State& state) {
  show(state, env_.steady_seconds());
  if (line_open_) write_("\n");
  line_open_ = false;
}

void Progress::clear() {
  if (line_open_) write_("\r\x1b[K");
  line_open_ = false;
}

void Progress::show(const State& state, double now) {
  last_ = now;
  const std::string text = compose(state, now);
  write_(terminal_ ? "\r" + text + "\x1b[K" : text + "\n");
  line_open_ = terminal_;
}

std::string Progress::compose(const State& state, double now) const {
  std::string text(state.counter);
  if (state.loss) text += fmt::format("  loss {:.4f}", *state.loss);
  if (state.rate > 0) text += fmt::format("  {} {}", count_text(state.rate), state.unit);
  const double elapsed = now - start_;
  if (state.fraction >= 1) return text + fmt::format("  {} in all", duration_text(elapsed));
  if (state.fraction > 0) {
    text +=
        fmt::format("  {} left", duration_text(elapsed * (1 - state.fraction) / state.fraction));
  }
  return text;
}

}  // namespace belay::base
