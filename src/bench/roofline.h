// What this machine can do, measured in the same run as what is compared with it: the rate of
// oneDNN's packed 2048^3 product and the rate at which memory is read.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/context.h"
#include "bench/onednn.h"
#include "bench/timing.h"

namespace belay::bench {

/// The product that rates are divided by.
constexpr MatmulShape kYardstick{2048, 2048, 2048};

/// FLOP/s of the yardstick, sampled again and again through a run.
class ProductRate {
 public:
  /// enabled false: nothing is ever loaded or measured.
  ProductRate(tensor::DType dtype, int n_threads, bool enabled, const Repeats& repeats = {});

  /// Takes a sample: the fastest of three runs after an unseen one. Waits until oneDNN's threads
  /// sleep again. Nothing where oneDNN is missing or has no product of this type here.
  std::optional<double> sample();
  /// Of all samples. Nothing before the first.
  std::optional<double> median() const;
  std::optional<double> best() const;
  /// oneDNN's product at another shape, the fastest of its runs.
  std::optional<double> product(const MatmulShape& shape) const;
  /// "2.6.3", or empty.
  std::string version() const { return dnn_ ? dnn_->version() : ""; }

 private:
  std::optional<OneDnn> dnn_;
  tensor::DType dtype_;
  int n_threads_;
  Repeats repeats_;
  std::unique_ptr<OneDnn::Product> yardstick_;
  std::vector<double> samples_;
};

/// Bytes a second of reading memory of a size well above that of the caches, with all threads.
class ReadRate {
 public:
  ReadRate(base::Context& ctx, std::int64_t bytes);
  /// The fastest of three runs after an unseen one. On a shared machine it changes within seconds.
  double sample();

 private:
  base::Context& ctx_;
  std::int64_t chunks_;
  base::Buffer memory_;
  std::vector<float> sums_;
};

}  // namespace belay::bench
