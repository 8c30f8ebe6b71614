// The lowest loss at each compute, and where it goes from there: L*(C) = E + K C^-gamma, an
// exponential in log C, through rows of equal compute that rise by one factor (IsoFLOP rows). It
// asks nothing of how the loss depends on size and tokens, so it errs in other places than a law of
// both (loss_law.h); it rests on few runs, so scatter moves it by several times itself. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/draws.h"

namespace belay::forecast {

struct FrontierRow {
  double flops = 0, loss = 0;  // the lowest loss of runs of so much compute
};

struct FrontierOptions {
  double scatter = 4e-3;  // deviation of log loss of a row, and of the run that is forecast
  int n_draws = 4000;
  std::uint64_t seed = 1;
};

/// The lowest loss at `flops`. With falls d_1 ... d_n from row to row the falls to come are
/// d_n r, d_n r^2, ...; r = (d_n / d_1)^(1 / (n - 1)), 1 at most: they do not grow. None with fewer
/// than three rows, losses or compute of 0 or less, compute that does not rise by one factor (to
/// 10 %), or `flops` below the last row's.
std::optional<stats::Draws> predict_frontier(std::span<const FrontierRow> rows, double flops,
                                             const FrontierOptions& options = {});

}  // namespace belay::forecast
