// A model for inference from a source of weights: refused before anything is read where it does not
// fit, read panel by panel where it does.
#pragma once

#include "base/env.h"
#include "model/model.h"

namespace belay::model {

/// The types in which a source stores its weights, by table index.
StoredTypes stored_types(const WeightSource& source);
/// The same with every matrix quantized: kQ8, or kQ4 with embedding and output layer kQ8.
StoredTypes quantized_types(const ModelConfig& config, StoredTypes types, tensor::DType to);

/// compute: F32 or BF16. max_positions: rows of the rotary table.
base::Result<Model> load_for_inference(base::Context& ctx, base::Env& env,
                                       const WeightSource& source, tensor::DType compute,
                                       std::int64_t max_positions);

}  // namespace belay::model
