#include "report/compute_curves.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace belay::report {
namespace {

using base::Result;
using base::Status;
using forecast::Curve;
using nlohmann::json;
using store::number_at;
using store::RunRecord;
using store::text_at;

/// FLOPs behind a line: as logged, or of its tokens.
std::optional<double> flops_of(const json& line, const RunRecord& run) {
  if (const auto flops = number_at(line, {"flops"})) return flops;
  const auto tokens = number_at(line, {"tokens"});
  const auto of_token = number_at(run.manifest, {"model", "flops_per_token"});
  return tokens && of_token ? std::optional(*tokens * *of_token) : std::nullopt;
}

Curve curve_of(const RunRecord& run, std::string_view name) {
  Curve curve;
  for (const json& line : run.metrics) {
    const auto loss = number_at(line, {name});
    const auto flops = flops_of(line, run);
    if (!loss || !flops || *flops <= 0) continue;
    if (!curve.empty() && *flops < curve.back().flops) continue;
    curve.push_back({*flops, *loss});
  }
  return curve;
}

bool same(const std::vector<RunRecord>& runs, std::initializer_list<std::string_view> path) {
  return std::all_of(runs.begin(), runs.end(), [&](const RunRecord& run) {
    return number_at(run.manifest, path) == number_at(runs[0].manifest, path);
  });
}

bool same_data(const std::vector<RunRecord>& runs) {
  return std::all_of(runs.begin(), runs.end(), [&](const RunRecord& run) {
    const auto mark = text_at(run.manifest, {"data", "fingerprint"});
    return mark && mark == text_at(runs[0].manifest, {"data", "fingerprint"});
  });
}

std::string validation_text(const RunRecord& run) {
  const auto part = [&](std::string_view name) {
    return number_at(run.manifest, {"data", "valid", name}).value_or(0);
  };
  return fmt::format("{:.0f} bytes in {:.0f} documents", part("bytes"), part("documents"));
}

Status check_validation(const std::vector<RunRecord>& runs) {
  for (const RunRecord& run : runs) {
    const std::string seen = validation_text(run), allowed = validation_text(runs[0]);
    if (seen == allowed) continue;
    return base::invalid_argument(
        {.where = run.folder,
         .what = "was validated on other text than " + runs[0].folder +
                 ": their losses cannot be compared",
         .seen = seen,
         .allowed = allowed,
         .next = "compare runs with one validation split; belay runs show prints a run's"});
  }
  return {};
}

/// Bits per byte of one nat per token of the training text.
Result<double> bits_per_byte(const RunRecord& run) {
  const auto tokens = number_at(run.manifest, {"data", "train", "tokens"});
  const auto bytes = number_at(run.manifest, {"data", "train", "bytes"});
  if (tokens && bytes && *tokens > 0 && *bytes > 0) return *tokens / *bytes / std::numbers::ln2;
  return base::invalid_argument(
      {.where = run.folder,
       .what = "does not know the tokens and bytes of its training text, which runs on different "
               "data are compared by"});
}

bool has_points(const std::vector<Curve>& curves) {
  return std::all_of(curves.begin(), curves.end(), [](const Curve& c) { return c.size() >= 2; });
}

}  // namespace

std::string ComputeCurves::measure() const {
  return fmt::format("{} loss, {}", validation ? "validation" : "training",
                     bits_per_byte ? "bits per byte" : "nats per token");
}

Result<ComputeCurves> compute_curves(const std::vector<RunRecord>& runs) {
  BELAY_RETURN_IF_ERROR(check_validation(runs));
  ComputeCurves result;
  result.bits_per_byte = !same_data(runs);
  for (const RunRecord& run : runs) {
    result.curves.push_back(curve_of(run, result.bits_per_byte ? "val_bpb" : "val_loss"));
  }
  result.validation = has_points(result.curves);
  if (result.validation) return result;
  result.curves.clear();
  result.other_training_text = result.bits_per_byte && !same(runs, {"data", "train", "bytes"});
  for (const RunRecord& run : runs) {
    Curve curve = forecast::trailing_mean(curve_of(run, "loss"), kSmoothingRatio);
    if (result.bits_per_byte) {
      BELAY_ASSIGN_OR_RETURN(const double factor, bits_per_byte(run));
      for (forecast::CurvePoint& p : curve) p.loss *= factor;
    }
    result.curves.push_back(std::move(curve));
  }
  return result;
}

}  // namespace belay::report
