// The speed of a whole training step at a shape, against the packed product measured in the same
// run, and where its time goes. The step is timed without profiling; the rows come from further
// steps. The memory of the process includes oneDNN's own (about 60 MB) where it is measured.
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
  /// oneDNN's 2048^3 product; absent where it cannot be measured.
  std::optional<double> product_flops, product_flops_before, product_flops_after;
  std::string onednn_version;
  /// flops_per_token * tokens_per_second / product_flops.
  std::optional<double> mfu;
  /// The rate of the step's own products, each alone, over product_flops: what mfu would be if
  /// nothing but these products took time.
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
