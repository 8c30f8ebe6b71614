// The fitted law of a climb and the curves that its charts draw. Loss in nats a token, N
// parameters, D tokens: L(N, D) = E + A / N^alpha + B / D'^beta. D' is D up to U unique tokens;
// where r* is known and D > U, D' = U + U r* (1 - exp(-R / r*)) with R = D / U - 1 (Muennighoff et
// al., "Scaling data-constrained language models", 2023).
#pragma once

#include <optional>
#include <utility>
#include <vector>

namespace belay::report {

struct Law {
  double E = 0, A = 0, B = 0, alpha = 0, beta = 0;
  std::optional<double> r_star = {};
  double unique_tokens = 0;  // U; 0: all are new

  double loss(double n_params, double n_tokens) const;
};

/// A model size and what a parameter and token cost in it: near 6 FLOPs, more in small models,
/// where attention weighs more.
struct SizeCost {
  double n_params = 0, flops_per_product = 6;
};

struct Optimum {
  double n_params = 0, n_tokens = 0, loss = 0;
};

/// The law over parameters and compute. Costs between two sizes are interpolated in log N, and are
/// those of the last size outside.
class Surface {
 public:
  Surface(Law law, std::vector<SizeCost> costs);

  const Law& law() const { return law_; }
  double tokens_for(double flops, double n_params) const;
  double loss_at(double flops, double n_params) const;
  /// The size with the lowest loss for so much compute.
  Optimum optimum(double flops) const;

 private:
  Law law_;
  std::vector<SizeCost> costs_;  // by rising size
};

}  // namespace belay::report
