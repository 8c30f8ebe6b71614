// The program's verbs and their options. An option is declared once, with its name, the variable
// that takes its value (what lies there is the default) and its help; `--config` and a run's
// manifest follow from that. CLI11 does the parsing; its header takes longer to compile than any
// verb, so options.cpp alone sees it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace belay::cli {

class Option {
 public:
  explicit Option(CLI::Option& option) : option_(&option) {}
  Option& type(const char* name);   // shown for the value: DIR
  Option& group(const char* name);  // the heading in --help
  Option& required();
  Option& one_at_a_time();  // of a list: one value each time that the option is given

 private:
  CLI::Option* option_;
};

/// An option after parsing; a list shows its last value.
struct OptionValue {
  std::string name, fallback;
  std::optional<std::string> given;
  const std::string& text() const { return given ? *given : fallback; }
};

/// A verb, or the program as the verb above all verbs. Copies mean the same one.
class Verb {
 public:
  explicit Verb(CLI::App& app) : app_(&app) {}

  /// "--name", or "name" for a place in the command line.
  Option option(const char* name, std::string& value, const std::string& about);
  Option option(const char* name, int& value, const std::string& about);
  Option option(const char* name, std::int64_t& value, const std::string& about);
  Option option(const char* name, std::uint64_t& value, const std::string& about);
  Option option(const char* name, double& value, const std::string& about);
  Option option(const char* name, std::vector<std::string>& values, const std::string& about);
  void flag(const char* name, bool& value, const std::string& about);
  Verb add_verb(const std::string& name, const std::string& about, const std::string& footer);

  std::string name() const;
  bool is_program() const;
  std::vector<Verb> verbs() const;           // one floor below
  std::vector<OptionValue> options() const;  // those with a long name, but --help
  const CLI::App* id() const { return app_; }

  // What the last parse found.
  std::optional<Verb> chosen() const;          // the verb below that was named
  std::vector<std::string> left_over() const;  // arguments that nothing took

 private:
  CLI::App* app_;
};

/// "--steps is out of range (seen 0; allowed 1 to 100)".
base::Status out_of_range(std::string_view name, std::string seen, std::string allowed);

/// Fails unless least <= value <= most (so for NaN).
template <class T>
base::Status check_range(std::string_view name, T value, std::type_identity_t<T> least,
                         std::type_identity_t<T> most) {
  if (value >= least && value <= most) return {};
  return out_of_range(name, fmt::format("{}", value), fmt::format("{} to {}", least, most));
}

/// Owns the tree of verbs.
class Parser {
 public:
  Parser(const std::string& about, const std::string& name, const std::string& footer);
  ~Parser();
  Verb program();
  std::string help() const;
  /// Fills in the variables. False when help was asked for, and printed; a failure has the parser's
  /// words.
  base::Result<bool> parse(std::vector<std::string> args);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace belay::cli
