// A scaling law of pretraining loss, fitted to runs: L(N, D) = E + A / N^alpha + B / D^beta, with N
// parameters and D tokens (Hoffmann et al., "Training compute-optimal large language models",
// 2022). Where tokens repeat, D is the effective number of Muennighoff et al., "Scaling
// data-constrained language models", 2023: D' = U + U R* (1 - exp(-R / R*)) for U unique tokens
// seen R + 1 times. Pure functions: equal arguments give equal results, for any number of threads.
//
// Units: loss in nats per token (any unit will do that is the same everywhere); compute in FLOPs,
// `flops_factor` N D where no other number is given, 6 by default.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/threads.h"
#include "stats/draws.h"

namespace belay::forecast {

struct LossLaw {
  double E = 0, A = 0, B = 0, alpha = 0, beta = 0;
  std::optional<double> r_star = {};  // none: a token seen again counts like a new one

  /// unique_tokens 0: no token repeats.
  double loss(double n_params, double n_tokens, double unique_tokens = 0) const;
  /// The exponent a of the optimal parameters in compute; that of the tokens is b = 1 - a.
  double params_exponent() const { return beta / (alpha + beta); }
};

/// A finished run.
struct LossPoint {
  double n_params = 0, n_tokens = 0, loss = 0;
  double unique_tokens = 0;  // 0: as many as n_tokens
  double flops = 0;          // 0: flops_factor times n_params times n_tokens
  double weight = 1;         // against the other points
  std::string name = {};     // for messages
};

enum class LossForm : std::uint8_t { kPlain, kRepeats };
/// "E + A/N^alpha + B/D^beta", ...
std::string_view form_text(LossForm form);

/// The defaults are what forecast the next rung best where it was tried (docs/forecasting.md).
struct LossFitOptions {
  double compute_weight = 0.5;  // a point counts by its compute to this power; 0: all alike
  double prior = 2;             // weight of the prior on alpha and beta; 0: none
  double huber = 1e-3;          // of log residuals, beyond which they count by size, not square
  double scatter = 0;           // least deviation of log loss between runs alike, where it is known
  double bend = 0.2;       // of a forecast: deviation of log loss, as a part of the improvement
  int n_resamples = 1000;  // of the bootstrap, up to 100,000
  std::uint64_t seed = 1;
  double flops_factor = 6;
  std::size_t drop_highest = 0;       // points of highest loss to leave out
  std::optional<LossForm> form = {};  // none: chosen by the rungs of largest compute, held out
};

/// How well a form, fitted to the rest, met the points of largest compute.
struct FormScore {
  LossForm form = LossForm::kPlain;
  double error = 0;  // mean of |log loss - log forecast|
};

struct LossFit {
  LossLaw law;
  LossForm form = LossForm::kPlain;
  std::vector<FormScore> forms;       // what the choice rests on; empty: nothing was to be chosen
  std::vector<LossLaw> resampled;     // the law fitted to resamples of the points
  std::vector<LossPoint> points;      // those that the law rests on, flops filled in
  std::vector<double> residuals;      // of log loss, one a point
  std::vector<std::string> excluded;  // a point left out and why, a sentence each
  LossFitOptions options;
};

/// Fits the law. Points whose loss is not finite, or far above what the others say, are left out
/// and named. Errors: fewer than 8 points or than 3 sizes or numbers of tokens among them, numbers
/// that mean nothing (where = the point's name), losses that do not differ.
base::Result<LossFit> fit_loss(base::ThreadPool& threads, std::span<const LossPoint> points,
                               const LossFitOptions& options = {});

/// What a new run of that size will reach: the resampled laws, the scatter of the fitted points,
/// and a part of the improvement that is forecast over the largest of them.
stats::Draws predict_loss(const LossFit& fit, double n_params, double n_tokens,
                          double unique_tokens = 0, std::uint64_t seed = 1);

struct Optimum {
  double n_params = 0, n_tokens = 0, loss = 0;
};
/// The parameters and tokens that reach the lowest loss for so many FLOPs, all tokens new.
Optimum optimum(const LossLaw& law, double flops, double flops_factor = 6);

/// The least compute that reaches a loss; none when the loss is not above E. At equal loss the
/// ratio of two laws' values is the effective compute that one has over the other.
std::optional<double> compute_at(const LossLaw& law, double loss, double flops_factor = 6);

/// What it costs to train a model `times` smaller than the optimal one, longer, at equal compute.
struct Overtraining {
  double n_params = 0, n_tokens = 0, loss = 0;
  double compute = 1;  // times what the optimum needs for that loss
};
Overtraining overtrained(const LossLaw& law, double flops, double times, double flops_factor = 6);

}  // namespace belay::forecast
