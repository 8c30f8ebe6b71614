// How good forecasts of the next rung would have been on these points: for every factor of two in
// compute the smaller runs are fitted and the larger ones, up to `ahead` times, are forecast,
// beside two baselines: nothing changes (the loss of the largest fitted run), and a straight line
// of log loss over log compute through the best runs. A run counts as a next rung where its tokens
// per parameter are among those fitted, within 10 %.
#pragma once

#include "base/status.h"
#include "forecast/loss_law.h"

namespace belay::forecast {

struct LossBacktestOptions {
  double ahead = 8;      // times the largest fitted compute
  double window = 0;     // fits only runs within this factor below it; 0: all
  int n_resamples = 50;  // of each fit
};

/// How far a kind of forecast was off: |loss - forecast| / loss in the median, and the mean CRPS in
/// the unit of the loss.
struct BacktestScore {
  double error = 0, crps = 0;
};

struct LossBacktest {
  std::size_t n_fits = 0, n_forecasts = 0;
  double least_ahead = 0, most_ahead = 0;  // compute of the forecast runs over the largest fitted
  BacktestScore law, no_change, line;
  double within50 = 0, within80 = 0, within95 = 0;  // share of the outcomes in these intervals
};

/// An error when no part of them can be fitted
/// and leaves a run to forecast.
base::Result<LossBacktest> backtest_loss(base::ThreadPool& threads,
                                         std::span<const LossPoint> points,
                                         const LossFitOptions& fit,
                                         const LossBacktestOptions& options = {});

}  // namespace belay::forecast
