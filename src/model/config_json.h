// ModelConfig from and to a Hugging Face config.json.
//
// Which keys are accepted, and why: ignoring a key that changes the computation is how a model is
// loaded wrongly without a word, so every key falls in one of three tables (config_keys.cpp): those
// that are read; those that must have the one value that we compute (pretraining_tp 1,
// rope_interleaved false); bookkeeping that cannot change a forward pass. Any other key is refused,
// and the nearest known one is named. null means "not set" and is accepted for every key.
//
// Defaults of missing keys are those of the family's class in transformers; where its default is a
// size of one particular model (num_key_value_heads 8), the key is required.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace belay::model {

/// The most that a config.json may be.
inline constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

/// Parses and checks; `file` is what messages call the text. kUnsupported: a valid config that asks
/// for what is not implemented; kCorrupt: wrong types, ranges, or contradictions.
base::Result<ModelConfig> parse_config(std::string_view text, std::string_view file);

/// The config.json of a config that validate() accepts; parse_config gives it back. `dtype` is that
/// of the weights beside it. transformers 4 and 5 read the form (rope_theta and rope_scaling on
/// top).
std::string to_json(const ModelConfig& config, tensor::DType dtype = tensor::DType::kF32);

}  // namespace belay::model
