// One token id from logits: greedy, or drawn at a temperature from the top k ids, or from the
// fewest ids whose probability reaches p. The draw is a pure function of (logits, options, index).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"

namespace belay::infer {

struct SamplerOptions {
  double temperature = 1;  // 0: greedy
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
  std::uint64_t seed = 0;
};

/// Every value in its range; `where` begins the message.
base::Status validate(const SamplerOptions& options, std::string_view where);

class Sampler {
 public:
  Sampler(const SamplerOptions& options, std::int64_t vocab_size);

  /// logits: [V]. index: which draw of this seed (the position of the token). Among equal logits
  /// the smaller id comes first. Allocates nothing.
  std::int32_t draw(std::span<const float> logits, std::uint64_t index);

 private:
  SamplerOptions options_;
  std::vector<std::pair<float, std::int32_t>> kept_;  // logit and id
  std::vector<double> weight_;                        // exp((logit - top) / temperature)
};

}  // namespace belay::infer
