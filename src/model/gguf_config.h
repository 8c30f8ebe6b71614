// ModelConfig from the keys of a GGUF file (GGUF specification, "LLM"; what llama.cpp's converter
// writes). As with config.json (config_json.h), a key that is ignored may be the one that changes
// the computation: every key under the architecture's name is read, or must have the one value that
// we compute, or cannot change a forward pass; any other is refused by name.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "store/gguf.h"

namespace belay::model {

/// The names of general.architecture, for messages.
inline constexpr std::string_view kGgufArchitectures = "llama, qwen2, qwen3";

/// general.architecture of a family: Mistral's is llama, as llama.cpp's converter has it.
std::string_view gguf_architecture(Family family);

/// llama.cpp rotates neighbours (2i, 2i+1) in this architecture, we halves (i, i + D/2): the rows
/// of q and k stand in another order in the file.
bool rotates_neighbours(Family family);

/// The tensor of those factors.
inline constexpr std::string_view kRopeFactors = "rope_freqs.weight";

/// Tensors say what no key does: biases, tied embeddings, and the factors of Llama 3's rope
/// scaling.
base::Result<ModelConfig> gguf_config(const store::GgufFile& file);

/// What rope_freqs.weight holds for Llama 3's scaling: by what each of the head_dim / 2 frequencies
/// is divided.
std::vector<float> llama3_factors(const Llama3Rope& rope, double theta, std::int64_t head_dim);

}  // namespace belay::model
