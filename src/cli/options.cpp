#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

namespace belay::cli {
namespace {

template <class T>
Option add(CLI::App& app, const char* name, T& value, const std::string& about) {
  return Option(*app.add_option(name, value, about)->capture_default_str());
}

}  // namespace

base::Status out_of_range(std::string_view name, std::string seen, std::string allowed) {
  return base::invalid_argument({.where = std::string(name),
                                 .what = "is out of range",
                                 .seen = std::move(seen),
                                 .allowed = std::move(allowed)});
}

Option& Option::type(const char* name) {
  option_->type_name(name);
  return *this;
}

Option& Option::group(const char* name) {
  option_->group(name);
  return *this;
}

Option& Option::required() {
  option_->required()->default_str("");
  return *this;
}

Option& Option::one_at_a_time() {
  option_->allow_extra_args(false);
  return *this;
}

Option Verb::option(const char* name, std::string& value, const std::string& about) {
  return add(*app_, name, value, about);
}

Option Verb::option(const char* name, int& value, const std::string& about) {
  return add(*app_, name, value, about);
}

Option Verb::option(const char* name, std::int64_t& value, const std::string& about) {
  return add(*app_, name, value, about);
}

Option Verb::option(const char* name, std::uint64_t& value, const std::string& about) {
  return add(*app_, name, value, about);
}

Option Verb::option(const char* name, double& value, const std::string& about) {
  return add(*app_, name, value, about);
}

Option Verb::option(const char* name, std::vector<std::string>& values, const std::string& about) {
  CLI::Option* option = app_->add_option(name, values, about);
  if (!values.empty()) option->capture_default_str();
  return Option(*option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll));
}

void Verb::flag(const char* name, bool& value, const std::string& about) {
  app_->add_flag(name, value, about);
}

Verb Verb::add_verb(const std::string& name, const std::string& about, const std::string& footer) {
  CLI::App& verb = *app_->add_subcommand(name, about);
  verb.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  verb.footer(footer);
  return Verb(verb);
}

std::string Verb::name() const { return app_->get_name(); }

bool Verb::is_program() const { return app_->get_parent() == nullptr; }

std::vector<Verb> Verb::verbs() const {
  std::vector<Verb> verbs;
  for (CLI::App* verb : app_->get_subcommands([](const CLI::App*) { return true; })) {
    if (!verb->get_name().empty()) verbs.emplace_back(*verb);
  }
  return verbs;
}

std::vector<OptionValue> Verb::options() const {
  std::vector<OptionValue> values;
  for (const CLI::Option* option : std::as_const(*app_).get_options()) {
    if (option->get_lnames().empty() || option->get_lnames().front() == "help") continue;
    OptionValue value{option->get_lnames().front(), option->get_default_str(), std::nullopt};
    if (option->count() > 0) value.given = option->results().back();
    values.push_back(std::move(value));
  }
  return values;
}

std::optional<Verb> Verb::chosen() const {
  const auto chosen = app_->get_subcommands();
  return chosen.empty() ? std::nullopt : std::optional<Verb>(*chosen.front());
}

std::vector<std::string> Verb::left_over() const { return app_->remaining(); }

Parser::Parser(const std::string& about, const std::string& name, const std::string& footer)
    : app_(std::make_unique<CLI::App>(about, name)) {
  app_->set_help_flag("-h,--help", "Print this help");
  app_->footer(footer);
}

Parser::~Parser() = default;

Verb Parser::program() { return Verb(*app_); }

std::string Parser::help() const { return app_->help(); }

base::Result<bool> Parser::parse(std::vector<std::string> args) {
  std::reverse(args.begin(), args.end());  // the order that CLI11 wants
  try {
    app_->parse(std::move(args));
  } catch (const CLI::Success& help) {
    app_->exit(help);
    return false;
  } catch (const CLI::ParseError& e) {
    return base::invalid_argument({.what = e.what()});
  }
  return true;
}

}  // namespace belay::cli
