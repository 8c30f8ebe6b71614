// Log-probabilities of given token ids under a model: whole documents packed into batches, or one
// document in pieces against cached keys and values. Both give the same bits, and those that
// training computes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "model/model.h"

namespace belay::model {

struct ScoreOptions {
  std::int64_t batch_tokens = 4096;  // packed at a time; a longer document is a batch of its own
  std::int64_t piece = 0;            // > 0: tokens computed at a time against the cache
  int kv_bits = 0;                   // 8: keys and values at 8 bits, always in pieces (of 512)
};

using Documents = std::vector<std::vector<std::int32_t>>;

/// result[d][t] = log p(documents[d][t + 1] | documents[d][0 .. t]), in nats. Documents are not
/// empty, not longer than model.max_positions(), and their ids are in the vocabulary (checked: a
/// bug of the caller). Fails when the computation does not fit in memory (before anything is
/// allocated, with the options that would), or when the model computes a value that is not finite.
base::Result<std::vector<std::vector<float>>> score(base::Context& ctx, base::Env& env,
                                                    const Model& model, const Documents& documents,
                                                    const ScoreOptions& options = {});

/// Memory beside the model that score() takes.
std::int64_t score_bytes(base::Context& ctx, const Model& model, const Documents& documents,
                         const ScoreOptions& options);

/// Fails when a model of that shape does not fit in the memory that is left.
base::Status check_model_fits(base::Env& env, const ModelConfig& config, tensor::DType compute,
                              bool trained);

}  // namespace belay::model
