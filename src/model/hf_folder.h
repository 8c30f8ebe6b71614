// A model as a Hugging Face folder: config.json, model.safetensors (or shards and their index),
// generation_config.json. Other files of the folder (the tokenizer's) are left alone.
//
// Loading treats the folder as hostile: every tensor that the weight table names is there with its
// shape, no other is, values are finite, and the whole fits in memory, before anything is
// allocated. Exceptions: rotary inv_freq buffers are ignored (they follow from config.json), and a
// model with tied embeddings may carry an lm_head.weight that equals the embedding byte for byte.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "model/config.h"
#include "model/weight_source.h"
#include "tensor/dtype.h"

namespace belay::model {

struct LoadedModel {
  ModelConfig config;
  std::vector<std::vector<float>> weights;  // by index in weight_table(config), parts fused
};

/// `path`: the folder, or a .safetensors file with config.json beside it. End-of-text ids that only
/// generation_config.json names are added to the config's.
base::Result<LoadedModel> load_hf_folder(base::Env& env, const std::string& path);

/// The same folder as a source of weights for inference: opened and checked, its weights not yet
/// read. Whether they fit in memory is for who reads them.
base::Result<std::unique_ptr<WeightSource>> open_hf_folder(base::Env& env, const std::string& path);

/// The config alone (config.json and the end-of-text ids), without reading weights.
base::Result<ModelConfig> load_hf_config(base::Env& env, const std::string& folder);

/// Fails when the weights do not fit in memory as f32; `path` is what the message names.
base::Status check_weights_fit(base::Env& env, const ModelConfig& config, const std::string& path);

struct SaveOptions {
  tensor::DType dtype = tensor::DType::kF32;  // kF32 or kBF16, for all weights
  std::uint64_t max_shard_bytes = 5'000'000'000;
};

/// Writes the folder; `weights` by index in weight_table(config). Each file appears whole or not at
/// all, config.json last. Saved over another model, a crash leaves the old one, the new one, or a
/// folder without config.json, never a mixture that loads. Weights that are not finite are refused.
base::Status save_hf_folder(base::Env& env, const std::string& folder, const ModelConfig& config,
                            std::span<const std::span<const float>> weights,
                            const SaveOptions& options = {});
base::Status save_hf_folder(base::Env& env, const std::string& folder, const LoadedModel& model,
                            const SaveOptions& options = {});

}  // namespace belay::model
