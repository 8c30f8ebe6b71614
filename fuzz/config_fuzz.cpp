// Any bytes as a config.json. What is accepted is valid, counts its parameters without overflow,
// and is the same after writing and reading.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/config_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = belay::model::parse_config(text, "config.json");
  if (!config.ok()) {
    if (config.status().detail().where.rfind("config.json", 0) != 0) std::abort();
    return 0;
  }
  if (!belay::model::validate(*config, "config.json").ok()) std::abort();
  if (config->n_params() <= 0) std::abort();
  if (!(config->train_flops_per_token(config->max_position) > 0)) std::abort();
  const auto again = belay::model::parse_config(belay::model::to_json(*config), "config.json");
  if (!again.ok() || !(*again == *config)) std::abort();
  return 0;
}
