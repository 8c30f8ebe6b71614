// The section that says what a run was: parts.h.
#include <fmt/core.h>

#include <cmath>

#include "base/units.h"
#include "report/html.h"
#include "report/parts.h"
#include "store/run_record.h"

namespace belay::report {
namespace {

using nlohmann::json;
using store::number_at;
using store::text_at;

/// A plain value as text; nothing for what holds others.
std::string value_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_structured() || value.is_null()) return "";
  return value.dump();
}

std::string command_of(const json& manifest) {
  const auto command = manifest.find("command");
  if (command == manifest.end() || !command->is_array()) return "";
  std::string text;
  for (const json& word : *command) {
    std::string plain = value_text(word);
    const bool quoted = plain.empty() || plain.find_first_of(" \t\n'\"\\$`&|;<>()*?") != plain.npos;
    if (quoted) {
      for (std::size_t at = 0; (at = plain.find('\'', at)) != plain.npos; at += 4) {
        plain.replace(at, 1, "'\\''");
      }
      plain = "'" + plain + "'";
    }
    text += (text.empty() ? "" : " ") + plain;
  }
  return text;
}

/// A field as a person reads it: sizes with their unit, large numbers short.
std::string field_text(std::string_view name, const json& value) {
  if (!value.is_number()) return value_text(value);
  const double number = value.get<double>();
  const bool bytes = (name.ends_with("_bytes") || name == "bytes") && number >= 0 && number < 1e18;
  if (bytes) return base::bytes_text(static_cast<std::uint64_t>(number));
  return std::fabs(number) >= 1e5 ? base::count_text(number) : fmt::format("{:.6g}", number);
}

/// The plain fields of an object and of those in it, "name value, name value".
std::string listed(const json& object, const std::string& before = "") {
  std::string text;
  const auto add = [&text](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  };
  if (!object.is_object()) return text;
  for (const auto& [name, value] : object.items()) {
    std::string spaced = before + name;
    for (char& c : spaced) c = c == '_' ? ' ' : c;
    if (value.is_object() && before.empty()) {
      add(listed(value, name + " "));
    } else if (const std::string plain = field_text(name, value); !plain.empty()) {
      add(spaced + " " + plain);
    }
  }
  return text;
}

std::string options_table(const json& manifest) {
  const auto options = manifest.find("options");
  if (options == manifest.end() || !options->is_object() || options->empty()) return "";
  std::string html =
      "<details><summary>Every option, as given or by default</summary>\n<div class=\"scroll\">"
      "<table>\n";
  for (const auto& [name, value] : options->items()) {
    html += fmt::format("<tr><td><code>--{}</code></td><td>{}</td></tr>\n", escape(name),
                        escape(value_text(value)));
  }
  return html + "</table></div></details>\n";
}

}  // namespace

std::string facts_section(const json& manifest, std::string_view heading) {
  std::string html = fmt::format("<h2>{}</h2>\n<dl class=\"facts\">\n", heading);
  const auto add = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, escape(text));
  };
  if (const std::string command = command_of(manifest); !command.empty()) {
    html += fmt::format("<dt>Command</dt><dd><code>{}</code></dd>\n", escape(command));
  }
  for (const auto& [name, key] :
       {std::pair{"Model", "model"}, {"Data", "data"}, {"Machine", "machine"}}) {
    if (manifest.contains(key)) add(name, listed(manifest[key]));
  }
  const auto seed = manifest.find("seed");
  if (seed != manifest.end()) add("Seed", value_text(*seed));
  add("Started", utc_text(number_at(manifest, {"started"})));
  add("Parent run", text_at(manifest, {"parent"}).value_or(""));
  add("Version", text_at(manifest, {"version"}).value_or(""));
  return html + "</dl>\n" + options_table(manifest);
}

}  // namespace belay::report
