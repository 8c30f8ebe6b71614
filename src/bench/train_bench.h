// The speed of a whole training step at a shape, against the packed product measured in the same
// run, and where its time goes. The step is timed without profiling; the rows come from further
// steps. The memory of the process includes oneDNN and its operands (about 100 MB) where it is
// measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/env.h"
#include "bench/products.h"
#include "bench/roofline.h"
#include "bench/shapes.h"
#include "stats/summary.h"
#include "tensor/exec.h"

namespace belay::bench {

struct TrainBenchOptions {
  tensor::DType dtype = tensor::DType::kF32;
  int steps = 10;
  bool muon = false, checkpoint = false;
  bool roofline = true;  // false: oneDNN is left alone
  Repeats repeats = {};  // of products
};

struct TrainResult {
  double step_seconds = 0;  // median
  double best_step_seconds = 0;
  stats::Interval step_interval;  // of the median, 95 %
  double optimizer_seconds = 0;   // median
  double tokens_per_second = 0;
  double flops_per_token = 0;  // 6 N + 6 L C T
  /// oneDNN's 2048^3 product, sampled before and after the steps and between runs of them, a run
  /// being one step, or as many short ones as take a tenth of a second: median and best. Absent
  /// where it cannot be measured.
  std::optional<double> product_flops, product_flops_best;
  std::string onednn_version;
  /// Median over the runs of steps of their median step's FLOP/s over the mean of the samples
  /// around them: clocks and neighbours change within a bench, and change both.
  std::optional<double> mfu;
  /// The rate of the step's own products, each alone and the fastest of its runs, over
  /// product_flops_best: what mfu would be if nothing but these products took time.
  std::optional<double> products_bound;
  std::int64_t n_params = 0;
  std::int64_t planned_bytes = 0;   // weights, gradients, packed copies, optimizer, activations
  std::int64_t resident_bytes = 0;  // by which the process grew; 0: unknown
  std::int64_t peak_rss_bytes = 0;  // of the process, oneDNN and the program included
  double final_loss = 0;
  double profiled_seconds = 0;           // mean of the profiled steps, optimizer included
  std::vector<tensor::ProfileRow> rows;  // per step; the optimizer is one of them
  std::vector<StepProduct> products;
};

/// A model that does not fit in memory is refused before it takes any.
base::Result<TrainResult> bench_train(base::Context& ctx, base::Env& env, const TrainShape& shape,
                                      const TrainBenchOptions& options);

}  // namespace belay::bench
