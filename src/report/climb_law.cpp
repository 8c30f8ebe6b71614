#include "report/climb_law.h"

#include <algorithm>
#include <cmath>

namespace belay::report {

Surface::Surface(forecast::LossLaw law, double unique_tokens, std::vector<SizeCost> costs)
    : law_(law), unique_tokens_(unique_tokens), costs_(std::move(costs)) {
  std::sort(costs_.begin(), costs_.end(),
            [](const SizeCost& a, const SizeCost& b) { return a.n_params < b.n_params; });
  if (costs_.empty()) costs_.push_back({1, 6});
}

double Surface::tokens_for(double flops, double n_params) const {
  const auto above = std::lower_bound(costs_.begin(), costs_.end(), n_params,
                                      [](const SizeCost& s, double n) { return s.n_params < n; });
  double cost = 0;
  if (above == costs_.begin()) {
    cost = above->flops_per_product;
  } else if (above == costs_.end()) {
    cost = costs_.back().flops_per_product;
  } else {
    const SizeCost& below = *(above - 1);
    const double part =
        std::log(n_params / below.n_params) / std::log(above->n_params / below.n_params);
    cost = below.flops_per_product + part * (above->flops_per_product - below.flops_per_product);
  }
  return flops / (cost * n_params);
}

double Surface::loss_at(double flops, double n_params) const {
  return loss(n_params, tokens_for(flops, n_params));
}

forecast::Optimum Surface::optimum(double flops) const {
  // Golden section over log N: with a cost of 6 the loss has one lowest point there.
  constexpr double kGolden = 0.6180339887498949;
  double low = std::log(costs_.front().n_params) - 7, high = std::log(costs_.back().n_params) + 14;
  const auto at = [&](double log_n) { return loss_at(flops, std::exp(log_n)); };
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  double at_a = at(a), at_b = at(b);
  for (int i = 0; i < 60; ++i) {
    if (at_a <= at_b) {
      high = b, b = a, at_b = at_a;
      a = high - kGolden * (high - low), at_a = at(a);
    } else {
      low = a, a = b, at_a = at_b;
      b = low + kGolden * (high - low), at_b = at(b);
    }
  }
  const double n = std::exp((low + high) / 2);
  return {n, tokens_for(flops, n), loss_at(flops, n)};
}

}  // namespace belay::report
