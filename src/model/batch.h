// The token ids of one step as packed documents, in memory whose address does not change.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/forward.h"

namespace belay::model {

class Batch {
 public:
  /// Room for exactly n_tokens tokens.
  explicit Batch(std::int64_t n_tokens);

  /// Documents of the given lengths (their sum is n_tokens), token ids, and for each token its
  /// target (negative: none). Each target weighs 1 / n_targets; a further division is the caller's
  /// (micro-batches).
  void set(std::span<const std::int32_t> ids, std::span<const std::int32_t> targets,
           std::span<const std::int64_t> lengths, double share = 1.0);
  /// The same for rows of one length, whose targets are the next ids: each row holds length + 1
  /// ids.
  void set_rows(std::span<const std::int32_t> rows, std::int64_t length, double share = 1.0);

  BatchIds bind(tensor::Tape& tape);
  tensor::Id bind_targets(tensor::Tape& tape);
  tensor::Id bind_weights(tensor::Tape& tape);

  std::int64_t n_tokens() const { return static_cast<std::int64_t>(ids.size()); }

  std::vector<std::int32_t> ids, positions, docs, targets;
  std::vector<float> weights;
};

}  // namespace belay::model
