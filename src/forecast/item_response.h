// Many benchmarks, many models, few scores: each model has one ability, each benchmark a difficulty
// and a slope, and the expected score is 1 / (1 + exp(-slope (ability - difficulty))) (Rasch, 1960;
// Birnbaum, 1968; for language models Ho et al., "A Rosetta stone for AI benchmarks", 2025). Least
// squares of scores with weak pulls (ridge) of abilities and difficulties to 0 and log slopes to 0,
// which also fix the scale: abilities are in log odds on a benchmark of slope 1. No guessing floor:
// of a multiple-choice benchmark the floor looks like an easy tail. Pure: equal arguments give
// equal results.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace belay::forecast {

struct ItemScore {
  std::size_t model = 0, benchmark = 0;
  double score = 0;  // in [0, 1]
};

struct ItemFit {
  std::vector<double> ability;            // of a model
  std::vector<double> difficulty, slope;  // of a benchmark
  double error = 0;                       // root mean square, of the scores fitted to

  double expected(std::size_t model, std::size_t benchmark) const;
  /// The ability that reaches a score in (0, 1) on a benchmark, and back.
  double ability_for(std::size_t benchmark, double score) const;
  double score_of(std::size_t benchmark, double ability) const;
};

/// At least one score.
ItemFit fit_items(std::span<const ItemScore> scores, std::size_t n_models,
                  std::size_t n_benchmarks);

struct ItemHoldOut {
  std::size_t n = 0;           // scores that were held out and could be predicted
  double error = 0;            // root mean square of the model's prediction
  double benchmark_error = 0;  // of the benchmark's mean
  double sum_error = 0;        // of the benchmark's mean plus the model's mean deviation
};

/// A share of the scores, chosen by seed, is predicted from the others; only where the others hold
/// both the model and the benchmark.
ItemHoldOut hold_out(std::span<const ItemScore> scores, std::size_t n_models,
                     std::size_t n_benchmarks, double share, std::uint64_t seed);

}  // namespace belay::forecast
