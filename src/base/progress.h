// What long work shows: one line that is rewritten on a terminal, a plain line every five seconds
// elsewhere. The text is composed only when it is due, so update() may be called at every step.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace belay::base {

class Env;

class Progress {
 public:
  struct State {
    double fraction = 0;            // of the whole work, 0 to 1; the time left follows from it
    std::string_view counter = {};  // "step 120/2000"
    double rate = 0;                // units a second
    std::string_view unit = {};     // "tok/s"
    std::optional<double> loss = std::nullopt;
  };
  using Write = std::function<void(std::string_view)>;

  /// Lines go to `write`, with their line ends and terminal controls in them.
  Progress(Env& env, bool terminal, Write write);
  /// To stderr, as a terminal or not.
  explicit Progress(Env& env);
  ~Progress();  // ends an open terminal line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Shows the state when one is due (ten a second on a terminal).
  void update(const State& state);
  /// Shows the state now and ends the line; further updates start a new one.
  void finish(const State& state);
  /// Clears the terminal line, so that another message can be written in its place.
  void clear();

 private:
  std::string compose(const State& state, double now) const;
  void show(const State& state, double now);

  Env& env_;
  bool terminal_;
  Write write_;
  double start_;
  double last_;
  bool line_open_ = false;
};

}  // namespace belay::base
