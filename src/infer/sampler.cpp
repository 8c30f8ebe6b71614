#include "infer/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace belay::infer {
namespace {

base::Status out_of_range(std::string_view where, std::string_view name, double seen,
                          std::string allowed) {
  return base::invalid_argument({.where = fmt::format("{}{}", where, name),
                                 .what = "is out of range",
                                 .seen = fmt::format("{}", seen),
                                 .allowed = std::move(allowed)});
}

}  // namespace

base::Status validate(const SamplerOptions& o, std::string_view where) {
  if (!(o.temperature >= 0 && o.temperature <= 100)) {
    return out_of_range(where, "temperature", o.temperature, "0 (greedy) to 100");
  }
  if (o.top_k < 0) return out_of_range(where, "top-k", static_cast<double>(o.top_k), "0 or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) {
    return out_of_range(where, "top-p", o.top_p, "above 0, at most 1");
  }
  return {};
}

Sampler::Sampler(const SamplerOptions& options, std::int64_t vocab_size)
    : options_(options),
      kept_(static_cast<std::size_t>(vocab_size)),
      weight_(static_cast<std::size_t>(vocab_size)) {}

std::int32_t Sampler::draw(std::span<const float> logits, std::uint64_t index) {
  BELAY_CHECK(logits.size() == kept_.size(), "logits of the whole vocabulary");
  const auto before = [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  for (std::size_t i = 0; i < logits.size(); ++i) {
    kept_[i] = {logits[i], static_cast<std::int32_t>(i)};
  }
  const auto top = std::min_element(kept_.begin(), kept_.end(), before);
  if (options_.temperature == 0) return top->second;
  const double top_logit = static_cast<double>(top->first);

  std::size_t n = kept_.size();
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < n) {
    n = static_cast<std::size_t>(options_.top_k);
    std::nth_element(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(n - 1), kept_.end(),
                     before);
  }
  std::sort(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(n), before);
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    weight_[i] = std::exp((static_cast<double>(kept_[i].first) - top_logit) / options_.temperature);
    total += weight_[i];
  }
  if (options_.top_p < 1) {
    double sum = 0;
    std::size_t few = 0;
    while (few < n && sum < options_.top_p * total) sum += weight_[few++];
    n = few;
    total = sum;
  }
  const base::Rng rng(options_.seed, base::Purpose::kSample);
  double left = rng.uniform53(index) * total;
  for (std::size_t i = 0; i < n; ++i) {
    left -= weight_[i];
    if (left < 0) return kept_[i].second;
  }
  return kept_[n - 1].second;
}

}  // namespace belay::infer
