// Messages for people, on stderr. Passed to what needs it; there is no global logger. Cheap when
// the level is off, but never called inside an operation or on the per-token path.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace belay::base {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

class Log {
 public:
  /// Writes to stderr what is at least as grave as `level`.
  explicit Log(LogLevel level = LogLevel::kInfo);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  template <class... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::kDebug)) {
      write(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::kInfo)) {
      write(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::kWarning)) {
      write(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
    }
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::kError)) {
      write(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
    }
  }

  bool enabled(LogLevel level) const { return level >= level_; }
  /// One line as it is, without time or level; not held back by buffering.
  void write(LogLevel level, std::string_view line);

 private:
  struct Sink;
  LogLevel level_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace belay::base
