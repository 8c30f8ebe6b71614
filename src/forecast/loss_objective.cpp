#include "forecast/loss_objective.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace belay::forecast {
namespace {

// The weak prior: published laws of language models have exponents from 0.2 to 0.6.
constexpr double kPriorExponent = 0.4, kPriorDeviation = 0.15;
// Muennighoff et al., 2023, found R* = 15; a factor of e^1.5 either way is a deviation.
constexpr double kPriorRepeat = 15, kPriorRepeatDeviation = 1.5;

/// The best coefficients >= 0 of weighted least squares in three variables: every set of variables
/// that may be positive is tried. moments: the upper part of X'X and X'y.
std::array<double, 3> nonnegative(const double (&xx)[3][3], const double (&xy)[3]) {
  std::array<double, 3> best{};
  double best_gain = 0;
  for (unsigned set = 1; set < 8; ++set) {
    double m[3][4];
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) m[i][j] = (set >> i & set >> j & 1) != 0 ? xx[i][j] : i == j;
      m[i][3] = (set >> i & 1) != 0 ? xy[i] : 0;
    }
    bool fine = true;
    for (int i = 0; i < 3; ++i) {  // X'X is positive definite: no pivots needed
      fine = fine && m[i][i] > 1e-12 * xx[i][i];
      for (int r = 0; r < 3 && fine; ++r) {
        const double f = m[r][i] / m[i][i];
        for (int c = i; c < 4 && r != i; ++c) m[r][c] -= f * m[i][c];
      }
    }
    if (!fine) continue;
    double gain = 0;
    std::array<double, 3> found{};
    for (std::size_t i = 0; i < 3; ++i) {
      found[i] = m[i][3] / m[i][i];
      fine = fine && found[i] >= 0;
      gain += found[i] * xy[i];
    }
    if (fine && gain > best_gain) best = found, best_gain = gain;
  }
  return best;
}

}  // namespace

LossObjective::LossObjective(std::span<const LossRow> rows, std::span<const double> weights,
                             bool with_repeats, double huber, double prior)
    : rows_(rows), weights_(weights), with_repeats_(with_repeats), huber_(huber), prior_(prior) {
  least_ = HUGE_VAL;
  for (const LossRow& row : rows) {
    mean_n_ += row.log_n / static_cast<double>(rows.size());
    mean_d_ += row.log_d / static_cast<double>(rows.size());
    least_ = std::min(least_, row.log_loss);
  }
  mid_n_ = mean_n_;
  mid_d_ = mean_d_;
}

double LossObjective::log_effective(const LossRow& row, double r_star, double* slope) const {
  if (!with_repeats_ || row.repeats <= 0) {
    *slope = 0;
    return row.log_d;
  }
  const double q = row.repeats / r_star, gone = std::exp(-q);
  const double times = 1 + r_star * (1 - gone);
  *slope = r_star * ((1 - gone) - q * gone) / times;  // of log D' by log R*
  return row.log_unique + std::log(times);
}

double LossObjective::operator()(std::span<const double> x, std::span<double> gradient) const {
  const bool sloped = !gradient.empty();
  std::array<double, 6> g{};
  double value = 0;
  const double alpha = x[3], beta = x[4], r_star = with_repeats_ ? std::exp(x[5]) : 0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const LossRow& row = rows_[i];
    if (weights_[i] == 0) continue;
    double d_slope = 0;
    const double n = row.log_n - mid_n_, d = log_effective(row, r_star, &d_slope) - mid_d_;
    const double te = x[0], ta = x[1] - alpha * n, tb = x[2] - beta * d;
    const double top = std::max({te, ta, tb});
    const double pe = std::exp(te - top), pa = std::exp(ta - top), pb = std::exp(tb - top);
    const double sum = pe + pa + pb;
    const double r = row.log_loss - top - std::log(sum), size = std::abs(r);
    value += weights_[i] * (size <= huber_ ? 0.5 * r * r : huber_ * (size - 0.5 * huber_));
    if (!sloped) continue;
    const double psi = -weights_[i] * std::clamp(r, -huber_, huber_) / sum;
    g[0] += psi * pe;
    g[1] += psi * pa;
    g[2] += psi * pb;
    g[3] -= psi * pa * n;
    g[4] -= psi * pb * d;
    g[5] -= psi * pb * beta * d_slope;
  }
  const double scale = prior_ / (kPriorDeviation * kPriorDeviation);
  for (const std::size_t k : {std::size_t{3}, std::size_t{4}}) {
    const double off = x[k] - kPriorExponent;
    value += 0.5 * scale * off * off;
    g[k] += scale * off;
  }
  if (with_repeats_) {
    const double repeat_scale = prior_ / (kPriorRepeatDeviation * kPriorRepeatDeviation);
    const double off = x[5] - std::log(kPriorRepeat);
    value += 0.5 * repeat_scale * off * off;
    g[5] += repeat_scale * off;
  }
  if (sloped) std::copy_n(g.begin(), gradient.size(), gradient.begin());
  return value;
}

std::vector<double> LossObjective::residuals(std::span<const double> x) const {
  const double r_star = with_repeats_ ? std::exp(x[5]) : 0;
  std::vector<double> all;
  for (const LossRow& row : rows_) {
    double unused = 0;
    const double d = log_effective(row, r_star, &unused) - mid_d_;
    all.push_back(row.log_loss -
                  std::log(std::exp(x[0]) + std::exp(x[1] - x[3] * (row.log_n - mid_n_)) +
                           std::exp(x[2] - x[4] * d)));
  }
  return all;
}

std::vector<double> LossObjective::low() const {
  std::vector<double> x = {least_ + std::log(kLeastShare), least_ - 14, least_ - 14, kLeastExponent,
                           kLeastExponent};
  if (with_repeats_) x.push_back(std::log(kLeastRepeat));
  return x;
}

std::vector<double> LossObjective::high() const {
  std::vector<double> x = {least_ - 1e-3, least_ + 7 + kMostExponent * (mean_n_ - mid_n_),
                           least_ + 7 + kMostExponent * (mean_d_ - mid_d_), kMostExponent,
                           kMostExponent};
  if (with_repeats_) x.push_back(std::log(kMostRepeat));
  return x;
}

std::vector<double> LossObjective::from_law(const LossLaw& law) const {
  std::vector<double> x = {std::log(law.E), std::log(law.A) - law.alpha * mid_n_,
                           std::log(law.B) - law.beta * mid_d_, law.alpha, law.beta};
  if (with_repeats_) x.push_back(std::log(law.r_star.value_or(kMostRepeat)));
  const std::vector<double> least = low(), most = high();
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = std::clamp(x[k], least[k], most[k]);
  return x;
}

LossLaw LossObjective::to_law(std::span<const double> x) const {
  LossLaw law{.E = std::exp(x[0]),
              .A = std::exp(x[1] + x[3] * mid_n_),
              .B = std::exp(x[2] + x[4] * mid_d_),
              .alpha = x[3],
              .beta = x[4],
              .r_star = {}};
  if (with_repeats_) law.r_star = std::exp(x[5]);
  return law;
}

std::vector<double> LossObjective::start_at(double alpha, double beta, double r_star) const {
  double xx[3][3] = {}, xy[3] = {};
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    double unused = 0;
    const LossRow& row = rows_[i];
    const double scale = std::exp(-row.log_loss);  // relative residuals
    const double d = log_effective(row, r_star, &unused);
    const double v[3] = {scale, scale * std::exp(-alpha * (row.log_n - mid_n_)),
                         scale * std::exp(-beta * (d - mid_d_))};
    for (int a = 0; a < 3; ++a) {
      for (int b = 0; b < 3; ++b) xx[a][b] += weights_[i] * v[a] * v[b];
      xy[a] += weights_[i] * v[a];
    }
  }
  const std::array<double, 3> c = nonnegative(xx, xy);
  std::vector<double> x = {std::log(c[0]), std::log(c[1]), std::log(c[2]), alpha, beta};
  if (with_repeats_) x.push_back(std::log(r_star));
  const std::vector<double> least = low(), most = high();
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = std::clamp(x[k], least[k], most[k]);
  return x;
}

std::vector<std::vector<double>> LossObjective::starts(std::size_t n) const {
  constexpr std::array kExponents = {0.08, 0.15, 0.25, 0.35, 0.5, 0.75, 1.1};
  std::vector<std::pair<double, std::vector<double>>> found;
  for (const double alpha : kExponents) {
    for (const double beta : kExponents) {
      for (const double r_star : {2.0, 8.0, 32.0}) {
        std::vector<double> x = start_at(alpha, beta, r_star);
        const double value = (*this)(x, {});
        found.emplace_back(value, std::move(x));
        if (!with_repeats_) break;
      }
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::vector<double>> best;
  for (std::size_t i = 0; i < std::min(n, found.size()); ++i) {
    best.push_back(std::move(found[i].second));
  }
  return best;
}

}  // namespace belay::forecast
