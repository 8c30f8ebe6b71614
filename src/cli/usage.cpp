#include "cli/usage.h"

#include <fmt/core.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "base/json.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

std::vector<std::string> verb_names(Verb above) {
  std::vector<std::string> names;
  for (const Verb verb : above.verbs()) names.push_back(verb.name());
  return names;
}

std::vector<std::string> option_names(Verb verb) {
  std::vector<std::string> names{"--help"};
  for (const OptionValue& option : verb.options()) names.push_back("--" + option.name);
  return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& names,
                       const std::string& otherwise) {
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  auto near = base::nearest(word, candidates);
  for (const std::string& name : names) {
    if (word.size() >= 4 && name.starts_with(word)) near = name;
  }
  return near ? "did you mean " + *near + "?" : otherwise;
}

std::string help_hint(Verb verb) {
  return fmt::format("see belay {}--help", verb.is_program() ? "" : verb.name() + " ");
}

Status unknown_option(Verb verb, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  return base::invalid_argument({.what = "unknown option " + base::printable(name),
                                 .next = suggestion(name, option_names(verb), help_hint(verb))});
}

Status unknown_verb(Verb program, const std::string& argument) {
  return base::invalid_argument(
      {.what = "unknown verb " + base::printable(argument),
       .next = suggestion(argument, verb_names(program), help_hint(program))});
}

/// The text of a scalar, or nothing for what no option takes.
std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  if (const auto* f = node.as_floating_point()) return fmt::format("{}", f->get());
  return std::nullopt;
}

Result<std::vector<std::string>> read_config(base::Env& env, Verb verb, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxConfigBytes));
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& e) {
    return base::corrupt({.where = fmt::format("{}:{}", path, e.source().begin.line),
                          .what = "is not valid TOML: " + base::printable(e.description(), 300)});
  }
  std::vector<std::string> args;
  for (const auto& [key, node] : table) {
    const std::string option = "--" + std::string(key.str());
    const std::string where = fmt::format("{}:{}", path, node.source().begin.line);
    const std::vector<std::string> names = option_names(verb);
    if (std::find(names.begin(), names.end(), option) == names.end() || option == "--config") {
      const std::string near = suggestion(option, names, help_hint(verb));
      return base::invalid_argument(
          {.where = where,
           .what = "unknown key " + base::printable(std::string_view(option).substr(2)),
           .next = near});
    }
    const auto value = scalar_text(node);
    if (!value) {
      return base::invalid_argument({.where = where,
                                     .what = base::printable(key.str()) + " has no plain value",
                                     .allowed = "a string, a number, true or false"});
    }
    args.push_back(option + "=" + *value);
  }
  return args;
}

/// The value of the last --config, or nothing.
std::optional<std::string> config_path(const std::vector<std::string>& args) {
  std::optional<std::string> path;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--config" && i + 1 < args.size()) path = args[i + 1];
    if (args[i].starts_with("--config=")) path = args[i].substr(9);
  }
  return path;
}

}  // namespace

Status check_verb(Verb program, const std::vector<std::string>& args) {
  if (args.empty() || args[0].starts_with("-")) return {};
  const std::vector<std::string> names = verb_names(program);
  if (std::find(names.begin(), names.end(), args[0]) != names.end()) return {};
  return unknown_verb(program, args[0]);
}

Result<std::vector<std::string>> with_config(base::Env& env, Verb program,
                                             const std::vector<std::string>& args) {
  const auto path = config_path(args);
  if (!path) return args;
  Verb verb = program;
  std::size_t n_verbs = 0;
  while (n_verbs < args.size()) {
    const std::vector<Verb> below = verb.verbs();
    const auto named = std::find_if(below.begin(), below.end(), [&](Verb candidate) {
      return candidate.name() == args[n_verbs];
    });
    if (named == below.end()) break;
    verb = *named;
    ++n_verbs;
  }
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> extra, read_config(env, verb, *path));
  std::vector<std::string> all = args;
  all.insert(all.begin() + static_cast<std::ptrdiff_t>(n_verbs), extra.begin(), extra.end());
  return all;
}

Verb chosen_verb(Verb program) {
  const auto chosen = program.chosen();
  return chosen ? chosen_verb(*chosen) : program;
}

Status usage_error(Verb program, const std::string& parser_message) {
  const Verb verb = chosen_verb(program);
  const std::vector<std::string> left = verb.left_over();
  for (const std::string& argument : left) {
    if (argument.size() > 1 && argument[0] == '-') return unknown_option(verb, argument);
  }
  if (!left.empty() && !verb_names(verb).empty()) return unknown_verb(verb, left.front());
  if (!left.empty()) {
    return base::invalid_argument(
        {.what = "unexpected argument " + base::printable(left.front()), .next = help_hint(verb)});
  }
  return base::invalid_argument({.what = parser_message, .next = help_hint(verb)});
}

}  // namespace belay::cli
