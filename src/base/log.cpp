#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace belay::base {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: break;
  }
  return spdlog::level::off;
}

}  // namespace

struct Log::Sink {
  spdlog::logger logger;
};

Log::Log(LogLevel level)
    : level_(level),
      sink_(new Sink{
          spdlog::logger("belay", std::make_shared<spdlog::sinks::stderr_color_sink_mt>())}) {
  sink_->logger.set_level(spdlog_level(level));
  // A plain sentence for news, the level in front of what needs attention.
  sink_->logger.set_pattern("%v");
  sink_->logger.flush_on(spdlog::level::trace);
}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view line) {
  std::string_view prefix;
  if (level == LogLevel::kWarning) prefix = "warning: ";
  if (level == LogLevel::kError) prefix = "error: ";
  sink_->logger.log(spdlog_level(level), "{}{}", prefix, line);
}

}  // namespace belay::base
