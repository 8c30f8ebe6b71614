// Any bytes as checkpoint.json, the manifest of a run's state: as they are, and with a right seal,
// so that what lies behind it is reached. What is accepted is written and read again the same.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "store/sealed_json.h"
#include "train/checkpoint.h"

namespace {

void examine(std::string_view text) {
  const auto state = belay::train::parse_saved_state(text, "checkpoint.json");
  if (!state.ok()) {
    if (state.status().detail().where.rfind("checkpoint.json", 0) != 0) std::abort();
    return;
  }
  if (state->checkpoints.empty() || state->checkpoints.size() > 2) std::abort();
  const std::string written = belay::train::compose_saved_state(*state);
  const auto again = belay::train::parse_saved_state(written, "checkpoint.json");
  if (!again.ok() || belay::train::compose_saved_state(*again) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  examine(text);
  const auto json = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!json.is_object() || json.empty()) return 0;
  nlohmann::ordered_json open = json;
  open.erase("xxh3");
  if (!open.empty()) examine(belay::store::seal_json(open));
  return 0;
}
