#include "bench/roofline.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "ops/simd/dispatch.h"
#include "stats/summary.h"

namespace belay::bench {

namespace {

/// FLOP/s of the fastest run.
std::optional<double> rate(OneDnn::Product* product, const MatmulShape& shape,
                           const Repeats& repeats) {
  if (product == nullptr) return std::nullopt;
  bool good = true;
  const double best = best_seconds(repeats, [&] { good = product->run() && good; });
  return good ? std::optional(shape.flops() / best) : std::nullopt;
}

/// An OpenMP thread without work spins for up to 15 ms before it sleeps.
constexpr std::chrono::milliseconds kUntilAsleep{25};

}  // namespace

ProductRate::ProductRate(tensor::DType dtype, int n_threads, bool enabled, const Repeats& repeats)
    : dtype_(dtype), n_threads_(n_threads), repeats_(repeats) {
  if (enabled) dnn_ = OneDnn::load();
  if (dnn_) yardstick_ = dnn_->prepare(dtype, kYardstick, n_threads);
}

std::optional<double> ProductRate::sample() {
  const auto seen = rate(yardstick_.get(), kYardstick, {.most = 3, .seconds = repeats_.seconds});
  if (!seen) return std::nullopt;
  samples_.push_back(*seen);
  std::this_thread::sleep_for(kUntilAsleep);
  return seen;
}

std::optional<double> ProductRate::median() const {
  return samples_.empty() ? std::nullopt : std::optional(stats::median(samples_));
}

std::optional<double> ProductRate::best() const {
  return samples_.empty() ? std::nullopt : std::optional(stats::quantile(samples_, 1));
}

std::optional<double> ProductRate::product(const MatmulShape& shape) const {
  if (!dnn_) return std::nullopt;
  return rate(dnn_->prepare(dtype_, shape, n_threads_).get(), shape, repeats_);
}

namespace {

constexpr std::int64_t kReadChunk = 1 << 18;  // numbers

}  // namespace

ReadRate::ReadRate(base::Context& ctx, std::int64_t bytes)
    : ctx_(ctx),
      chunks_(std::max<std::int64_t>(1, bytes / (4 * kReadChunk))),
      memory_(4 * chunks_ * kReadChunk),  // on huge pages, as weights are
      sums_(static_cast<std::size_t>(chunks_)) {
  std::fill_n(reinterpret_cast<float*>(memory_.data()), chunks_ * kReadChunk, 1.0f);
}

double ReadRate::sample() {
  const auto sum = ops::simd::kernels(ctx_.isa).sum_squares;
  const auto* memory = reinterpret_cast<const float*>(memory_.data());
  const double best = best_seconds({.most = 3}, [&] {
    ctx_.threads.parallel(chunks_, [&](std::int64_t c, int) {
      sums_[static_cast<std::size_t>(c)] = sum(memory + c * kReadChunk, kReadChunk);
    });
  });
  return static_cast<double>(4 * chunks_ * kReadChunk) / best;
}

}  // namespace belay::bench
