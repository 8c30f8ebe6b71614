// A continuation of any length by a byte-level model: when the context is full, the second half of
// it is kept and read again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "infer/sampler.h"
#include "model/model.h"

namespace belay::infer {

/// n_bytes bytes that follow the prompt (not empty). context: at least 2, at most
/// model.max_positions().
std::string sample_bytes(base::Context& ctx, const model::Model& model, std::string_view prompt,
                         std::int64_t n_bytes, std::int64_t context, const SamplerOptions& options);

}  // namespace belay::infer
