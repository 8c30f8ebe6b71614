#include "forecast/loss_law.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace belay::forecast {
namespace {

constexpr std::size_t kDrawsOfALaw = 4;

/// The loss of the largest run, the lowest where several are as large.
double loss_of_largest(const std::vector<LossPoint>& points) {
  const auto largest =
      std::max_element(points.begin(), points.end(), [](const auto& a, const auto& b) {
        return a.flops != b.flops ? a.flops < b.flops : a.loss > b.loss;
      });
  return largest->loss;
}

}  // namespace

std::string_view form_text(LossForm form) {
  switch (form) {
    case LossForm::kPlain: return "E + A/N^alpha + B/D^beta";
    case LossForm::kRepeats: return "E + A/N^alpha + B/D'^beta, D' = U + U R* (1 - exp(-R/R*))";
  }
  return "?";
}

double LossLaw::loss(double n_params, double n_tokens, double unique_tokens) const {
  double d = n_tokens;
  if (r_star && unique_tokens > 0 && n_tokens > unique_tokens) {
    const double repeats = n_tokens / unique_tokens - 1;
    d = unique_tokens * (1 - *r_star * std::expm1(-repeats / *r_star));
  }
  return E + A * std::pow(n_params, -alpha) + B * std::pow(d, -beta);
}

stats::Draws predict_loss(const LossFit& fit, double n_params, double n_tokens,
                          double unique_tokens, std::uint64_t seed) {
  BELAY_CHECK(!fit.points.empty() && n_params > 0 && n_tokens > 0, "a fit and a run");
  const auto n = static_cast<double>(fit.points.size());
  // A fit of five numbers takes up some of the scatter.
  const double widen = std::sqrt(n / std::max(1.0, n - 5));
  const double forecast = fit.law.loss(n_params, n_tokens, unique_tokens);
  // Laws bend where they are not fitted.
  const double bend =
      fit.options.bend * std::max(0.0, std::log(loss_of_largest(fit.points) / forecast));
  const base::Rng scatter(seed, base::Purpose::kBootstrap, 0), bends(seed, base::Purpose::kFit, 0);
  const std::span<const LossLaw> laws =
      fit.resampled.empty() ? std::span(&fit.law, 1) : std::span(fit.resampled);
  std::vector<double> draws;
  for (const LossLaw& law : laws) {
    const double log_loss = std::log(law.loss(n_params, n_tokens, unique_tokens));
    for (std::size_t k = 0; k < kDrawsOfALaw; ++k) {
      const std::uint64_t i = draws.size();
      const double residual = fit.residuals[scatter.below(i, fit.residuals.size())];
      draws.push_back(
          std::exp(log_loss + widen * residual + bend * static_cast<double>(bends.normal(i))));
    }
  }
  return stats::Draws(std::move(draws));
}

Optimum optimum(const LossLaw& law, double flops, double flops_factor) {
  // The minimum over N of A N^-alpha + B (K / N)^-beta, with K = N D.
  const double product = flops / flops_factor;
  const double log_g = std::log(law.alpha * law.A / (law.beta * law.B)) / (law.alpha + law.beta);
  const double n = std::exp(log_g + law.params_exponent() * std::log(product));
  return {n, product / n, law.loss(n, product / n)};
}

std::optional<double> compute_at(const LossLaw& law, double loss, double flops_factor) {
  if (!(loss > law.E)) return std::nullopt;
  // Along the optimum both terms keep their ratio: what is above E is a power of compute.
  const double exponent = law.alpha * law.beta / (law.alpha + law.beta);
  const double at_one = optimum(law, 1, flops_factor).loss - law.E;
  return std::exp(std::log(at_one / (loss - law.E)) / exponent);
}

Overtraining overtrained(const LossLaw& law, double flops, double times, double flops_factor) {
  const Optimum best = optimum(law, flops, flops_factor);
  Overtraining over{.n_params = best.n_params / times, .n_tokens = best.n_tokens * times};
  over.loss = law.loss(over.n_params, over.n_tokens);
  over.compute = flops / compute_at(law, over.loss, flops_factor).value_or(flops);
  return over;
}

}  // namespace belay::forecast
