// Log-probabilities of a document of any length. One that is longer than the context is read
// through windows that overlap by half: a window is a document of its own, and of each but the
// first only the second half counts, so that every token is predicted from at least half a context
// before it.
//
// Why windows and not one pass against cached keys and values: a model is trained on positions
// below its context, and a cached key carries its position, so a cache can neither grow beyond the
// context nor slide. Inside a window the bits are those of training. Cost: twice that of a single
// pass.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/score.h"

namespace belay::model {

/// result[t] = log p(ids[t + 1] | the tokens before it in its window), in nats; ids.size() - 1 of
/// them, none when ids is empty. context: 2 to model.max_positions(). on_progress, when given, is
/// told how many of the results are there. Fails as score() does.
base::Result<std::vector<float>> score_long(
    base::Context& ctx, base::Env& env, const Model& model, std::span<const std::int32_t> ids,
    std::int64_t context, const ScoreOptions& options = {},
    const std::function<void(std::size_t)>& on_progress = {});

}  // namespace belay::model
