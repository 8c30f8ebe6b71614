#include "infer/sampler.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "ops/output_head.h"

namespace belay::infer {
namespace {

base::Status out_of_range(std::string_view where, std::string_view name, double seen,
                          std::string allowed) {
  return base::invalid_argument({.where = fmt::format("{}{}", where, name),
                                 .what = "is out of range",
                                 .seen = fmt::format("{}", seen),
                                 .allowed = std::move(allowed)});
}

constexpr double kMostPenalty = 100;
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// The likelier one, and among equals the smaller id.
constexpr auto kBefore = [](const std::pair<float, std::int32_t>& a,
                            const std::pair<float, std::int32_t>& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
};

/// 1 / temperature; greedy text is scored at temperature 1.
float scale_of(const SamplerOptions& o) {
  return o.temperature == 0 ? 1.0f : static_cast<float>(1 / o.temperature);
}

}  // namespace

base::Status validate(const SamplerOptions& o, std::string_view where, std::int64_t vocab_size) {
  if (!(o.temperature >= 0 && o.temperature <= 100)) {
    return out_of_range(where, "temperature", o.temperature, "0 (greedy) to 100");
  }
  if (o.top_k < 0) return out_of_range(where, "top-k", static_cast<double>(o.top_k), "0 or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) {
    return out_of_range(where, "top-p", o.top_p, "above 0, at most 1");
  }
  if (!(o.min_p >= 0 && o.min_p <= 1)) return out_of_range(where, "min-p", o.min_p, "0 to 1");
  if (!(o.repetition_penalty > 0 && o.repetition_penalty <= kMostPenalty)) {
    return out_of_range(where, "repetition-penalty", o.repetition_penalty, "above 0, at most 100");
  }
  for (const auto& [name, value] : {std::pair{"presence-penalty", o.presence_penalty},
                                    {"frequency-penalty", o.frequency_penalty}}) {
    if (!(std::abs(value) <= kMostPenalty)) return out_of_range(where, name, value, "-100 to 100");
  }
  for (const auto& [id, bias] : o.logit_bias) {
    if (id < 0 || (vocab_size > 0 && id >= vocab_size)) {
      return out_of_range(where, "logit-bias", id,
                          fmt::format("ids of the vocabulary, below {}", vocab_size));
    }
    if (!(std::abs(bias) <= kMostPenalty)) {
      return out_of_range(where, "logit-bias", bias, "-100 to 100");
    }
  }
  return {};
}

void History::add(std::int32_t id, bool in_text) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), id,
                                   [](const Entry& e, std::int32_t i) { return e.id < i; });
  if (at != entries_.end() && at->id == id) {
    at->in_text += in_text ? 1 : 0;
  } else {
    entries_.insert(at, {id, in_text ? 1 : 0});
  }
}

Sampler::Sampler(std::int64_t vocab_size) {
  const auto n = static_cast<std::size_t>(vocab_size);
  for (auto* row : {&changed_, &e_, &raw_e_}) row->resize(n);
  sums_.resize(ops::softmax_blocks(n));
  kept_.resize(n);
}

std::span<const float> Sampler::changed(const Place& p) {
  const SamplerOptions& o = p.options;
  if (!o.changes_logits() && p.allowed.empty()) return p.logits;
  const std::span<float> z = std::span(changed_).first(p.logits.size());
  std::copy(p.logits.begin(), p.logits.end(), z.begin());
  if (p.history != nullptr) {
    const auto repeated = static_cast<float>(o.repetition_penalty);
    for (const History::Entry& e : p.history->entries()) {
      if (static_cast<std::size_t>(e.id) >= z.size()) continue;
      float& at = z[static_cast<std::size_t>(e.id)];
      if (o.repetition_penalty != 1) at = at > 0 ? at / repeated : at * repeated;
      if (e.in_text == 0) continue;
      at -= static_cast<float>(o.presence_penalty + o.frequency_penalty * e.in_text);
    }
  }
  for (const auto& [id, bias] : o.logit_bias) {
    if (static_cast<std::size_t>(id) < z.size()) {
      z[static_cast<std::size_t>(id)] += static_cast<float>(bias);
    }
  }
  if (p.allowed.empty()) return z;
  for (std::size_t i = 0; i < z.size(); ++i) {
    if ((p.allowed[i / 64] >> (i % 64) & 1) == 0) z[i] = kNever;
  }
  return z;
}

std::int32_t Sampler::greedy(std::span<const float> z) const {
  return static_cast<std::int32_t>(std::max_element(z.begin(), z.end()) - z.begin());
}

Sampler::Drawn Sampler::draw(base::Context& ctx, const Place& p) {
  BELAY_CHECK(p.logits.size() <= e_.size() && !p.logits.empty(), "logits of the vocabulary");
  const std::span<const float> z = changed(p);
  const std::size_t n = z.size();
  scale_ = scale_of(p.options);
  const ops::Softmax made = ops::softmax(ctx, z, scale_, std::span(e_).first(n), sums_);
  most_ = made.most, log_sum_ = made.log_sum;
  std::int32_t id = 0;
  if (p.options.temperature == 0) {
    id = greedy(z);
  } else {
    const base::Rng rng(p.options.seed, base::Purpose::kSample, p.stream);
    id = pick(z, p, rng.uniform53(p.index));
  }
  if (z.data() != p.logits.data()) {  // what is recorded is of the logits as they were
    const ops::Softmax raw = ops::softmax(ctx, p.logits, scale_, std::span(raw_e_).first(n), sums_);
    most_ = raw.most, log_sum_ = raw.log_sum;
  }
  const ops::Softmax recorded{scale_, most_, log_sum_};
  return {id, recorded.logprob(p.logits[static_cast<std::size_t>(id)])};
}

/// The id at the share `left` of the mass: in the order of ids, which needs no sort.
std::int32_t Sampler::pick(std::span<const float> z, const Place& p, double left) {
  const SamplerOptions& o = p.options;
  const std::size_t n = z.size();
  if ((o.top_k == 0 || static_cast<std::size_t>(o.top_k) >= n) && o.top_p == 1 && o.min_p == 0) {
    double total = 0;
    const std::size_t n_blocks = ops::softmax_blocks(n);
    for (std::size_t b = 0; b < n_blocks; ++b) total += static_cast<double>(sums_[b]);
    left *= total;
    std::size_t block = 0;
    while (block + 1 < n_blocks && left >= static_cast<double>(sums_[block])) {
      left -= static_cast<double>(sums_[block++]);
    }
    std::size_t last = 0;
    bool any = false;
    for (std::size_t i = block * ops::kSoftmaxBlock; i < n; ++i) {  // beyond the block by rounding
      if (e_[i] == 0) continue;
      last = i, any = true;
      left -= static_cast<double>(e_[i]);
      if (left < 0) return static_cast<std::int32_t>(i);
    }
    return any ? static_cast<std::int32_t>(last) : greedy(z);
  }
  const std::size_t kept = keep(z, o);
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    total += static_cast<double>(e_[static_cast<std::size_t>(kept_[i].second)]);
  }
  left *= total;
  for (std::size_t i = 0; i < kept; ++i) {
    left -= static_cast<double>(e_[static_cast<std::size_t>(kept_[i].second)]);
    if (left < 0) return kept_[i].second;
  }
  return kept_[kept - 1].second;
}

/// Puts the ids that top-k, top-p and min-p leave to the front of kept_, the likeliest first;
/// returns how many.
std::size_t Sampler::keep(std::span<const float> z, const SamplerOptions& o) {
  double total = 0;  // of what top-k leaves: top-p is a share of that
  std::size_t n = 0;
  const auto gather = [&](float least) {
    n = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (e_[i] >= least) kept_[n++] = {z[i], static_cast<std::int32_t>(i)};
    }
  };
  const auto end = [&](std::size_t k) { return kept_.begin() + static_cast<std::ptrdiff_t>(k); };
  const auto mass = [&](std::size_t k) {
    double sum = 0;
    for (std::size_t i = 0; i < k; ++i) {
      sum += static_cast<double>(e_[static_cast<std::size_t>(kept_[i].second)]);
    }
    return sum;
  };
  const auto min_p = static_cast<float>(o.min_p);
  const auto top_k = static_cast<std::size_t>(o.top_k);
  if (top_k > 0 && top_k < z.size()) {
    // Few ids are near the first: look at those before all are.
    for (const float least : {0x1p-7f, 0x1p-14f, 0.0f}) {
      gather(least);
      if (n >= top_k) break;
    }
    if (n > top_k) {
      std::nth_element(kept_.begin(), end(top_k - 1), end(n), kBefore);
      n = top_k;
    }
    std::sort(kept_.begin(), end(n), kBefore);
    total = mass(n);
  } else {
    total = std::accumulate(
        sums_.begin(), sums_.begin() + static_cast<std::ptrdiff_t>(ops::softmax_blocks(z.size())),
        0.0, [](double a, float b) { return a + static_cast<double>(b); });
    for (const float least : {0x1p-7f, 0x1p-14f, 0.0f}) {
      gather(std::max(least, min_p));
      if (least <= min_p || mass(n) >= o.top_p * total) break;
    }
    std::sort(kept_.begin(), end(n), kBefore);
  }
  if (o.top_p < 1) {
    double sum = 0;
    std::size_t few = 0;
    while (few < n && sum < o.top_p * total) {
      sum += static_cast<double>(e_[static_cast<std::size_t>(kept_[few++].second)]);
    }
    n = few;
  }
  while (n > 1 && e_[static_cast<std::size_t>(kept_[n - 1].second)] < min_p) --n;
  return std::max<std::size_t>(1, n);
}

void Sampler::top(std::span<const float> z, std::span<TopToken> to) const {
  const ops::Softmax made{scale_, most_, log_sum_};
  std::size_t n = 0;
  const auto before = [&](std::int32_t a, std::int32_t b) {
    return kBefore({z[static_cast<std::size_t>(a)], a}, {z[static_cast<std::size_t>(b)], b});
  };
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(z.size()); ++i) {
    if (n == to.size() && !before(i, to[n - 1].id)) continue;
    std::size_t at = n < to.size() ? n++ : n - 1;
    for (; at > 0 && before(i, to[at - 1].id); --at) to[at] = to[at - 1];
    to[at].id = i;
  }
  for (TopToken& t : to) t.logprob = made.logprob(z[static_cast<std::size_t>(t.id)]);
}

}  // namespace belay::infer
