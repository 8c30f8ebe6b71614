// What a typed line means in `belay chat`: a message, or a command that begins with "/".
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace belay::cli {

enum class ChatCommand {
  kMessage,
  kSystem,
  kSave,
  kLoad,
  kSeed,
  kTemperature,
  kReset,
  kUndo,
  kThink,
  kHelp,
  kQuit,
};

struct ChatLine {
  ChatCommand command = ChatCommand::kMessage;
  std::string text;  // the message, or what follows the command
};

/// "/seed 5". "//x" is the message "/x". An unknown command is an error that suggests the nearest
/// one.
base::Result<ChatLine> parse_chat_line(std::string_view line);

/// A line a command, for /help.
std::string chat_help();

// The values of commands.
base::Result<std::uint64_t> parse_seed(std::string_view text);
base::Result<double> parse_temperature(std::string_view text);
/// "on" or "off".
base::Result<bool> parse_switch(std::string_view text);

}  // namespace belay::cli
