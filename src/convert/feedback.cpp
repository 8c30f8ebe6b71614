#include "convert/feedback.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/status.h"
#include "ops/matmul.h"
#include "tensor/dtype.h"

namespace belay::convert {
namespace {

constexpr std::int64_t kGroup = tensor::kQuantGroup;
constexpr double kDamping = 0.01;
constexpr std::int64_t kRowsAtOnce = 16;
constexpr float kMostScale = 65504;    // that half precision holds
constexpr float kToWhole = 0x1.8p23f;  // added and taken off: to nearest, ties to even
constexpr int kTries = 9;              // to each side of the scale under which the extreme is -8

/// a = U D U^T in place: D on the diagonal, U above it.
void factor(base::Context& ctx, std::vector<double>& a, std::int64_t n) {
  std::vector<double> column(static_cast<std::size_t>(n));
  for (std::int64_t k = n - 1; k > 0; --k) {
    const double pivot = a[static_cast<std::size_t>(k * n + k)];
    for (std::int64_t j = 0; j < k; ++j) {
      column[static_cast<std::size_t>(j)] = a[static_cast<std::size_t>(j * n + k)];
    }
    ops::for_chunks(ctx, k, kRowsAtOnce, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        double* row = a.data() + i * n;
        const double u = column[static_cast<std::size_t>(i)] / pivot;
        row[k] = u;
        for (std::int64_t j = i; j < k; ++j) row[j] -= u * column[static_cast<std::size_t>(j)];
      }
    });
  }
}

using Group = std::array<float, kGroup>;

/// A group of a row, with what its errors cost.
struct GroupOfRow {
  const float *row, *taken;  // its weights; of each, what errors before it make up for
  const float* upper;        // U from its first weight on, in rows of n
  const float* weight;       // D
  std::int64_t n, count;
};

/// A way to round it.
struct Rounded {
  std::array<std::int8_t, kGroup> codes{};
  Group error{};  // of each weight: what it is rounded to, less itself
  std::uint16_t scale = 0;
  float cost = 0;
  float dot = 0, square = 0;  // of codes with what was wanted, and of codes: their best scale
};

Rounded round_with(const GroupOfRow& g, float scale) {
  Rounded r;
  r.scale = tensor::to_half(std::clamp(scale, -kMostScale, kMostScale));
  const float step = tensor::half_to_float(r.scale), inverse = step == 0 ? 0 : 1 / step;
  Group taken{};
  std::copy_n(g.taken, g.count, taken.begin());
  for (std::int64_t k = 0; k < g.count; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const float wanted = g.row[k] - taken[at];
    const float code = std::clamp(wanted * inverse, -8.0f, 7.0f) + kToWhole - kToWhole;
    const float left = step * code - wanted;
    r.codes[at] = static_cast<std::int8_t>(code);
    r.error[at] = step * code - g.row[k];
    r.cost += g.weight[k] * left * left;
    r.dot += g.weight[k] * wanted * code;
    r.square += g.weight[k] * code * code;
    for (std::int64_t i = k + 1; i < g.count; ++i) {
      taken[static_cast<std::size_t>(i)] += r.error[at] * g.upper[k * g.n + i];
    }
  }
  return r;
}

Rounded round_group(const GroupOfRow& g) {
  float extreme = 0;
  for (std::int64_t k = 0; k < g.count; ++k) {
    const float wanted = g.row[k] - g.taken[k];
    if (std::fabs(wanted) > std::fabs(extreme)) extreme = wanted;
  }
  Rounded best = round_with(g, 0);
  for (int step = -kTries; step <= kTries && extreme != 0; ++step) {
    const Rounded r = round_with(g, extreme / (-8.0f - 0.1f * static_cast<float>(step)));
    if (r.cost < best.cost) best = r;
  }
  if (best.square > 0) {
    const Rounded r = round_with(g, best.dot / best.square);
    if (r.cost < best.cost) best = r;
  }
  return best;
}

}  // namespace

Feedback::Feedback(base::Context& ctx, std::span<const float> moments, std::int64_t n)
    : n_(n), weight_(static_cast<std::size_t>(n)) {
  BELAY_CHECK(moments.size() == static_cast<std::size_t>(n * n) && n > 0, "square moments");
  std::vector<double> a(moments.begin(), moments.end());
  double mean = 0;
  for (std::int64_t i = 0; i < n; ++i) mean += a[static_cast<std::size_t>(i * n + i)];
  const double damping = std::max(kDamping * mean / static_cast<double>(n), 1e-30);
  for (std::int64_t i = 0; i < n; ++i) a[static_cast<std::size_t>(i * n + i)] += damping;
  factor(ctx, a, n);
  upper_.assign(a.begin(), a.end());
  for (std::int64_t i = 0; i < n; ++i) {
    weight_[static_cast<std::size_t>(i)] = upper_[static_cast<std::size_t>(i * n + i)];
  }
}

void Feedback::round_row(const float* row, std::byte* blocks) const {
  std::vector<float> taken(static_cast<std::size_t>(n_));
  for (std::int64_t first = 0; first < n_; first += kGroup) {
    const std::int64_t count = std::min(kGroup, n_ - first);
    const Rounded best = round_group({.row = row + first,
                                      .taken = taken.data() + first,
                                      .upper = upper_.data() + first * n_ + first,
                                      .weight = weight_.data() + first,
                                      .n = n_,
                                      .count = count});
    std::memcpy(blocks, &best.scale, 2);
    for (std::size_t i = 0; i < 16; ++i) {
      blocks[2 + i] = static_cast<std::byte>((best.codes[i] + 8) | (best.codes[i + 16] + 8) << 4);
    }
    blocks += tensor::group_bytes(tensor::DType::kQ4);
    for (std::int64_t j = 0; j < count; ++j) {
      const float error = best.error[static_cast<std::size_t>(j)];
      const float* u = upper_.data() + (first + j) * n_;
      for (std::int64_t k = first + count; k < n_; ++k) {
        taken[static_cast<std::size_t>(k)] += error * u[k];
      }
    }
  }
}

}  // namespace belay::convert
