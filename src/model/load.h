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

/// Rows [first, first + n) of a matrix, `width` wide, as f32, whatever their type is; or numbers of
/// a vector, whose width is 1. No errors but those of the source.
base::Status read_floats(const WeightSource& source, std::size_t index, std::int64_t width,
                         std::int64_t first, std::int64_t n, float* to);

/// compute: F32 or BF16. max_positions: rows of the rotary table.
base::Result<Model> load_for_inference(base::Context& ctx, base::Env& env,
                                       const WeightSource& source, tensor::DType compute,
                                       std::int64_t max_positions);

}  // namespace belay::model
