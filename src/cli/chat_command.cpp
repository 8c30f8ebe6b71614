#include "cli/chat_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/json.h"
#include "base/trim.h"

namespace belay::cli {

using base::Result;
using base::Status;

namespace {

struct Known {
  std::string_view name, value, about;
  ChatCommand command;
};

constexpr Known kCommands[] = {
    {"system", "TEXT", "Set the system message; without a text, take it away",
     ChatCommand::kSystem},
    {"save", "FILE", "Write the conversation as a line of JSON", ChatCommand::kSave},
    {"load", "FILE", "Go on from a saved conversation", ChatCommand::kLoad},
    {"seed", "N", "Seed of the next answers", ChatCommand::kSeed},
    {"temperature", "X", "Of the next answers; 0: greedy", ChatCommand::kTemperature},
    {"think", "on|off", "Whether a model thinks first, where its template asks",
     ChatCommand::kThink},
    {"undo", "", "Take back the last message and its answer", ChatCommand::kUndo},
    {"reset", "", "Begin again; the system message stays", ChatCommand::kReset},
    {"help", "", "This list", ChatCommand::kHelp},
    {"quit", "", "Leave; so does Ctrl-D", ChatCommand::kQuit},
};

Status wrong_value(std::string_view command, std::string_view seen, std::string allowed) {
  return base::invalid_argument({.where = fmt::format("/{}", command),
                                 .what = "has a value that cannot be meant",
                                 .seen = base::printable(seen),
                                 .allowed = std::move(allowed)});
}

}  // namespace

Result<ChatLine> parse_chat_line(std::string_view line) {
  if (!line.starts_with('/')) return ChatLine{.text = std::string(line)};
  if (line.starts_with("//")) return ChatLine{.text = std::string(line.substr(1))};
  const std::string_view name = base::trimmed(line.substr(1, line.find_first_of(" \t") - 1));
  const std::string_view value = base::trimmed(line.substr(1 + name.size()));
  std::vector<std::string_view> names;
  for (const Known& known : kCommands) {
    names.push_back(known.name);
    if (known.name != name) continue;
    if (known.value.empty() && !value.empty()) return wrong_value(name, value, "no value");
    if (!known.value.empty() && value.empty() && known.command != ChatCommand::kSystem) {
      return wrong_value(name, value, std::string(known.value));
    }
    return ChatLine{known.command, std::string(value)};
  }
  const auto near = base::nearest(name, names);
  return base::invalid_argument(
      {.where = base::printable(line.substr(0, 1 + name.size())),
       .what = "is no command",
       .next = near ? fmt::format("did you mean /{}? ", *near) + "/help lists all"
                    : "/help lists all; a message may begin with //"});
}

std::string chat_help() {
  std::string text;
  for (const Known& known : kCommands) {
    text +=
        fmt::format("  {:<16}{}\n", fmt::format("/{} {}", known.name, known.value), known.about);
  }
  return text + "  Ctrl-C          Stop the answer; at the prompt, twice: leave\n";
}

Result<std::uint64_t> parse_seed(std::string_view text) {
  std::uint64_t seed = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (read.ec == std::errc() && read.ptr == text.data() + text.size()) return seed;
  return wrong_value("seed", text, "a whole number from 0 on");
}

Result<double> parse_temperature(std::string_view text) {
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  if (whole && value >= 0 && value <= 100) return value;
  return wrong_value("temperature", text, "0 (greedy) to 100");
}

Result<bool> parse_switch(std::string_view text) {
  if (text == "on" || text == "off") return text == "on";
  return wrong_value("think", text, "on, off");
}

}  // namespace belay::cli
