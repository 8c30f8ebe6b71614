#include "cli/version.h"

#include <fmt/core.h>
#include <spdlog/version.h>
#include <toml++/toml.h>
#include <xxhash.h>
#include <zstd.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "base/threads.h"
#include "base/version.h"

namespace belay::cli {
namespace {

std::string dotted(int major, int minor, int patch) {
  return fmt::format("{}.{}.{}", major, minor, patch);
}

/// Name and version; of shared libraries the one that is loaded.
std::vector<std::pair<std::string, std::string>> libraries() {
  const unsigned xxh = XXH_versionNumber();
  return {
      {"fmt", dotted(FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"spdlog", dotted(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
      {"nlohmann_json", dotted(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                               NLOHMANN_JSON_VERSION_PATCH)},
      {"CLI11", CLI11_VERSION},
      {"toml++", dotted(TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH)},
      {"zstd", ZSTD_versionString()},
      {"xxhash", fmt::format("{}.{}.{}", xxh / 10000, xxh / 100 % 100, xxh % 100)},
  };
}

}  // namespace

std::string version_text() {
  std::string isas, libs;
  for (const base::Isa isa : base::supported_isas()) isas += fmt::format(" {}", isa_name(isa));
  for (const auto& [name, version] : libraries()) libs += fmt::format(" {} {},", name, version);
  libs.pop_back();
  return fmt::format(
      "belay {}\n"
      "processor        {}\n"
      "instruction set  {} (this machine has:{})\n"
      "threads          {}\n"
      "libraries       {}\n",
      base::kFullVersion, base::cpu_model(), base::isa_name(base::best_isa()), isas,
      base::usable_cpus(), libs);
}

std::string version_json() {
  nlohmann::ordered_json j = {{"version", base::kVersion},
                              {"commit", base::kCommit},
                              {"processor", base::cpu_model()},
                              {"isa", base::isa_name(base::best_isa())},
                              {"isas", nlohmann::ordered_json::array()},
                              {"threads", base::usable_cpus()},
                              {"libraries", nlohmann::ordered_json::object()}};
  for (const base::Isa isa : base::supported_isas()) j["isas"].push_back(base::isa_name(isa));
  for (const auto& [name, version] : libraries()) j["libraries"][name] = version;
  return j.dump() + "\n";
}

}  // namespace belay::cli
