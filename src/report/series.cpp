#include "report/series.h"

#include <array>
#include <cmath>

namespace belay::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using store::number_at;

constexpr std::array<const char*, 3> kCounts = {"tokens", "flops", "seconds"};
constexpr std::array<const char*, 4> kMeasured = {"loss", "lr", "grad_norm", "tokens_per_second"};
constexpr std::array<const char*, 2> kValidated = {"val_loss", "val_bpb"};

std::optional<double> mean_of(const std::vector<const json*>& lines, const char* name) {
  double sum = 0;
  std::int64_t n = 0;
  for (const json* line : lines) {
    if (const auto value = number_at(*line, {name})) {
      sum += *value;
      ++n;
    }
  }
  return n == 0 ? std::nullopt : std::optional(sum / static_cast<double>(n));
}

ordered_json training(const std::vector<const json*>& lines, std::size_t max_points) {
  ordered_json columns = ordered_json::object();
  for (const char* name : kCounts) columns[name] = ordered_json::array();
  for (const char* name : kMeasured) columns[name] = ordered_json::array();
  const std::size_t n_points = std::min(lines.size(), max_points);
  for (std::size_t p = 0; p < n_points; ++p) {
    const std::size_t begin = p * lines.size() / n_points, end = (p + 1) * lines.size() / n_points;
    const std::vector<const json*> part(lines.begin() + static_cast<std::ptrdiff_t>(begin),
                                        lines.begin() + static_cast<std::ptrdiff_t>(end));
    for (const char* name : kCounts) {
      columns[name].push_back(rounded(number_at(*part.back(), {name})));
    }
    for (const char* name : kMeasured) columns[name].push_back(rounded(mean_of(part, name)));
  }
  return columns;
}

ordered_json validation(const std::vector<json>& metrics) {
  ordered_json columns = ordered_json::object();
  for (const char* name : kCounts) columns[name] = ordered_json::array();
  for (const char* name : kValidated) columns[name] = ordered_json::array();
  std::array<std::optional<double>, kCounts.size()> last;
  for (const json& line : metrics) {
    for (std::size_t i = 0; i < kCounts.size(); ++i) {
      if (const auto count = number_at(line, {kCounts[i]})) last[i] = count;
    }
    if (!number_at(line, {"val_loss"})) continue;
    for (std::size_t i = 0; i < kCounts.size(); ++i) {
      columns[kCounts[i]].push_back(rounded(last[i]));
    }
    for (const char* name : kValidated) columns[name].push_back(rounded(number_at(line, {name})));
  }
  return columns;
}

}  // namespace

ordered_json rounded(std::optional<double> value) {
  if (!value) return nullptr;
  if (*value == 0) return 0;
  const double digits = 5 - std::floor(std::log10(std::fabs(*value)));
  const double scale = std::pow(10.0, std::fabs(digits));
  const double near =
      digits >= 0 ? std::round(*value * scale) / scale : std::round(*value / scale) * scale;
  return std::isfinite(near) ? near : *value;
}

ordered_json series_of(const store::RunRecord& run, std::size_t max_points) {
  std::vector<const json*> trained;
  for (const json& line : run.metrics) {
    if (number_at(line, {"loss"})) trained.push_back(&line);
  }
  return {{"train", training(trained, max_points)}, {"valid", validation(run.metrics)}};
}

}  // namespace belay::report
