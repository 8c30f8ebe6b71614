// One token id from logits: greedy, or drawn at a temperature among all ids, the top k, the fewest
// whose probability reaches p, those at least min-p times as likely as the first; after penalties
// of ids that came before, biases, and a constraint's mask. The draw is a pure function of (logits,
// options, history, index), so a seed gives the same text whatever else runs.
//
// The log-probability that is recorded is of softmax(logits / temperature), of all ids and before
// penalties: at temperature 1 (and greedy) the bits that training and scoring compute.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/status.h"

namespace belay::infer {

struct SamplerOptions {
  double temperature = 1;  // 0: greedy
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  double min_p = 0;
  /// Of ids in prompt or text: a positive logit is divided by it, a negative one multiplied (Keskar
  /// et al., "CTRL", 2019).
  double repetition_penalty = 1;
  /// Subtracted from the logit of an id in the text: once, and for each time it stands there.
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<std::int32_t, double>> logit_bias = {};  // added
  std::uint64_t seed = 0;
  bool changes_logits() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0 ||
           !logit_bias.empty();
  }
};

/// Every value in its range, biased ids below vocab_size (0: not checked); `where` begins the
/// message.
base::Status validate(const SamplerOptions& options, std::string_view where,
                      std::int64_t vocab_size = 0);

/// How often each id came before, sorted by id.
class History {
 public:
  struct Entry {
    std::int32_t id, in_text;  // in_text: 0 for an id of the prompt alone
  };
  /// Room for all that will come; nothing is allocated afterwards.
  void reserve(std::size_t n) { entries_.reserve(n); }
  void add(std::int32_t id, bool in_text);
  std::span<const Entry> entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

struct TopToken {
  std::int32_t id;
  float logprob;
};

class Sampler {
 public:
  explicit Sampler(std::int64_t vocab_size);

  /// One place of a text: what is drawn from and how.
  struct Place {
    std::span<const float> logits;  // at most vocab_size
    const SamplerOptions& options;
    std::uint64_t index = 0;                      // which draw of this seed (the token's position)
    std::uint64_t stream = 0;                     // which of several texts from one prompt
    const History* history = nullptr;             // needed for penalties
    std::span<const std::uint64_t> allowed = {};  // bit i: id i may come; empty: all
  };
  struct Drawn {
    std::int32_t id;
    float logprob;
  };
  /// Among equal logits the smaller id comes first. Allocates nothing. At least one id is allowed.
  Drawn draw(base::Context& ctx, const Place& place);
  /// After draw: the n most probable ids of the same distribution, the first first.
  void top(std::span<const float> logits, std::span<TopToken> to) const;

 private:
  std::span<const float> changed(const Place& place);
  std::int32_t greedy(std::span<const float> logits) const;
  std::int32_t pick(std::span<const float> logits, const Place& place, double left);
  std::size_t keep(std::span<const float> logits, const SamplerOptions& options);

  std::vector<float> changed_, e_, raw_e_, sums_;
  std::vector<std::pair<float, std::int32_t>> kept_;  // logit and id
  float scale_ = 1, most_ = 0;                        // of the last draw's recorded distribution
  double log_sum_ = 0;
};

}  // namespace belay::infer
