// A continuation of any length, token by token: when the context is full, its second half is kept
// and read again, so that every token is predicted from at least half a context. Ids in, ids out.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "infer/engine.h"

namespace belay::infer {

struct ContinuationOptions {
  std::int64_t max_tokens = 100;
  /// Ids are drawn below it; 0: the model's vocabulary. A model's vocabulary may be rounded up
  /// beyond the ids that its tokenizer knows.
  std::int64_t vocab_size = 0;
  std::vector<std::int32_t> stop_ids = {};  // end the text, and are not part of it
  SamplerOptions sampler = {};
};

struct Continuation {
  std::vector<std::int32_t> ids;
  bool stopped = false;  // by one of stop_ids
};

/// Continues `prompt` (at least one id) in an engine that has nothing else to do. The draw for a
/// token is keyed by its position, prompt counted. on_token, when given, sees each id as it is
/// drawn; false ends the text. Fails for options or ids out of range, and where the model computes
/// numbers that are not finite.
base::Result<Continuation> continue_ids(Engine& engine, std::span<const std::int32_t> prompt,
                                        const ContinuationOptions& options,
                                        const std::function<bool(std::int32_t)>& on_token = {});

}  // namespace belay::infer
