#include "cli/verbs.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace belay::cli {

CLI::App& Verbs::add(const VerbInfo& info, Run run) { return add(app_, info, std::move(run)); }

CLI::App& Verbs::add(CLI::App& parent, const VerbInfo& info, Run run) {
  CLI::App& verb = *parent.add_subcommand(info.name, info.about);
  verb.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  verb.add_option("--config", "Options from a TOML file: depth = 4; options that are typed win")
      ->type_name("FILE");
  std::string footer = info.examples.empty() ? "" : "Examples:\n";
  for (const std::string& example : info.examples) footer += "  belay " + example + "\n";
  verb.footer(footer);
  run_[&verb] = std::move(run);
  return verb;
}

nlohmann::ordered_json options_json(const CLI::App& verb) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const CLI::Option* option : verb.get_options()) {
    if (option->get_lnames().empty() || option->get_lnames().front() == "help") continue;
    const std::string& name = option->get_lnames().front();
    json[name] = option->count() > 0 ? option->results().back() : option->get_default_str();
  }
  return json;
}

void print_json(const nlohmann::ordered_json& document) {
  const std::string text = document.dump() + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace belay::cli
