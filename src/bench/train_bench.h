// The speed of a whole training step at fixed shapes, against the packed product measured in the
// same run.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "model/config.h"
#include "tensor/exec.h"

namespace belay::bench {

struct TrainShape {
  std::string name, about;
  model::ModelConfig config;
  std::int64_t sequences = 1, context = 1;
};

/// The shapes that `belay bench train --shape` knows.
const std::vector<TrainShape>& train_shapes();
const TrainShape* find_shape(std::string_view name);

struct TrainResult {
  double step_seconds = 0;  // median
  double best_step_seconds = 0;
  double tokens_per_second = 0;
  double flops_per_token = 0;  // 6 N + 6 L C T
  double product_flops =
      0;           // oneDNN's packed 2048^3 product, best of measurements before and after
  double mfu = 0;  // flops_per_token * tokens_per_second / product_flops
  double products_bound =
      0;  // the same ratio if the step were its products alone at their own rates
  std::int64_t n_params = 0, peak_rss_bytes = 0, planned_bytes = 0;
  double final_loss = 0;
  std::vector<tensor::ProfileRow> rows;  // per step
  double optimizer_seconds = 0;
};

struct TrainBenchOptions {
  tensor::DType dtype = tensor::DType::kF32;
  int steps = 10;
  bool muon = false, checkpoint = false, roofline = true;
};

TrainResult bench_train(base::Context& ctx, const TrainShape& shape,
                        const TrainBenchOptions& options);

}  // namespace belay::bench
