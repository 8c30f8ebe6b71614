// Any bytes as forecasts.jsonl, and as lines whose hashes are right: whatever is accepted has
// finite numbers, distributions that never fall and outcomes of known forecasts.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "store/forecast_register.h"

namespace {

void check(std::string_view text) {
  const auto content = belay::store::parse_register(text, "forecasts.jsonl");
  if (!content.ok()) return;
  for (const auto& forecast : content->forecasts) {
    if (forecast.id.size() != 16 || !std::isfinite(forecast.median)) std::abort();
    if (forecast.quantiles.size() != belay::store::kForecastQuantiles) std::abort();
    for (std::size_t i = 1; i < forecast.quantiles.size(); ++i) {
      if (!(forecast.quantiles[i] >= forecast.quantiles[i - 1])) std::abort();
    }
  }
  for (const auto& outcome : content->outcomes) {
    if (content->find(outcome.of) == nullptr || !std::isfinite(outcome.value)) std::abort();
  }
}

/// Seals each line as an append would: past the hashes lies the rest of the reader.
std::string sealed(std::string_view text) {
  std::string lines, head(64, '0');
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string body = std::string(text.substr(0, end)) + ",\"previous\":\"" + head + "\"";
    text.remove_prefix(std::min(end + 1, text.size()));
    head = belay::base::sha256_hex(body);
    lines += body + ",\"sha256\":\"" + head + "\"}\n";
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(sealed(text));
  return 0;
}
