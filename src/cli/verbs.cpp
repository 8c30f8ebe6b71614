#include "cli/verbs.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace belay::cli {

Verb Verbs::add(const VerbInfo& info, Run run) { return add(program_, info, std::move(run)); }

Verb Verbs::add(Verb parent, const VerbInfo& info, Run run) {
  std::string footer = info.examples.empty() ? "" : "Examples:\n";
  for (const std::string& example : info.examples) footer += "  belay " + example + "\n";
  Verb verb = parent.add_verb(info.name, info.about, footer);
  verb.option("--config", config_,
              "Options from a TOML file: depth = 4; options that are typed win")
      .type("FILE");
  run_[verb.id()] = std::move(run);
  return verb;
}

nlohmann::ordered_json options_json(Verb verb) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const OptionValue& option : verb.options()) json[option.name] = option.text();
  return json;
}

void print_json(const nlohmann::ordered_json& document) {
  const std::string text = document.dump() + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace belay::cli
