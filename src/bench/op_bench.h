// Each operation alone at the sizes of a shape, against the roofline measured in the same run; and
// our matrix products against oneDNN's at equal shapes. What the caches hold between two calls of
// one operation is read faster than memory: a ratio above 1 says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/status.h"
#include "bench/products.h"
#include "bench/roofline.h"
#include "bench/shapes.h"

namespace belay::bench {

struct OpBenchOptions {
  tensor::DType dtype = tensor::DType::kF32;
  std::string filter = "";  // only names that hold it; empty: all
  bool roofline = true;     // false: oneDNN is left alone
  Repeats repeats = {.most = 20, .seconds = 0.5};
  std::int64_t read_bytes = 512 << 20;  // of the measurement of bandwidth
};

struct OpRow {
  std::string name;
  double seconds = 0, flops = 0, bytes = 0;  // of one call, the fastest
  bool compute_bound = false;
  /// The time that the roofline allows over the time taken; absent where its product is unknown.
  std::optional<double> ratio = {};
};

struct ProductRow {
  std::string name;  // "product forward 4096 x 1152 x 384": as MatmulShape
  StepProduct product;
  std::optional<double> onednn_flops;  // a second
};

struct OpBenchResult {
  std::optional<double> product_flops;
  double read_bandwidth = 0;
  std::string onednn_version;
  std::vector<OpRow> operations;
  std::vector<ProductRow> products;
};

/// A filter that no name holds is an error.
base::Result<OpBenchResult> bench_ops(base::Context& ctx, const TrainShape& shape,
                                      const OpBenchOptions& options);

}  // namespace belay::bench
