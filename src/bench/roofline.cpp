#include "bench/roofline.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/buffer.h"
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

double read_bandwidth(base::Context& ctx, std::int64_t bytes) {
  constexpr std::int64_t kChunk = 1 << 18;
  const std::int64_t chunks = std::max<std::int64_t>(1, bytes / (4 * kChunk));
  const base::Buffer buffer(4 * chunks * kChunk);  // on huge pages, as weights are
  auto* memory = reinterpret_cast<float*>(buffer.data());
  std::fill_n(memory, chunks * kChunk, 1.0f);
  const auto sum = ops::simd::kernels(ctx.isa).sum_squares;
  std::vector<float> sums(static_cast<std::size_t>(chunks));
  const double best = best_seconds({.most = 5}, [&] {
    ctx.threads.parallel(chunks, [&](std::int64_t c, int) {
      sums[static_cast<std::size_t>(c)] = sum(memory + c * kChunk, kChunk);
    });
  });
  return static_cast<double>(4 * chunks * kChunk) / best;
}

}  // namespace belay::bench
