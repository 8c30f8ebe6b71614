// The fitted law of a climb over sizes and compute, as its charts draw it.
#pragma once

#include <vector>

#include "forecast/loss_law.h"

namespace belay::report {

/// A model size and what a parameter and token cost in it: near 6 FLOPs, more in small models,
/// where attention weighs more.
struct SizeCost {
  double n_params = 0, flops_per_product = 6;
};

/// The law over parameters and compute. Costs between two sizes are interpolated in log N, and are
/// those of the last size outside.
class Surface {
 public:
  /// unique_tokens: 0 where all are new.
  Surface(forecast::LossLaw law, double unique_tokens, std::vector<SizeCost> costs);

  double loss(double n_params, double n_tokens) const {
    return law_.loss(n_params, n_tokens, unique_tokens_);
  }
  double tokens_for(double flops, double n_params) const;
  double loss_at(double flops, double n_params) const;
  /// The size with the lowest loss for so much compute.
  forecast::Optimum optimum(double flops) const;

 private:
  forecast::LossLaw law_;
  double unique_tokens_;
  std::vector<SizeCost> costs_;  // by rising size
};

}  // namespace belay::report
