// A model from a GGUF file, as load_hf_folder gives it: config, and weights by the weight table as
// f32, whatever blocks the file stores them in (ops/quant_blocks.h).
//
// The file is hostile, as a folder is: every tensor that the weight table names is there with its
// shape, no other is, values are finite, and the whole fits in memory, before anything is
// allocated. An output.weight that equals the embedding byte for byte counts as tied.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "model/hf_folder.h"
#include "model/weights.h"

namespace belay::model {

/// The path's name ends in ".gguf".
bool is_gguf_path(std::string_view path);

base::Result<LoadedModel> load_gguf_model(base::Env& env, const std::string& path);

/// From wherever a path points to: a GGUF file, a Hugging Face folder or a .safetensors file in
/// one.
base::Result<LoadedModel> load_model(base::Env& env, const std::string& path);
/// The same as a source of weights for inference: opened and checked, its weights not yet read.
base::Result<std::unique_ptr<WeightSource>> open_model(base::Env& env, const std::string& path);

enum class HeadRows : std::uint8_t {
  kHalves,      // of a head's rows, those that rotate together are i and i + D/2: ours
  kNeighbours,  // 2i and 2i + 1: llama's in GGUF
};
/// Reorders the rows of each head from one order to the other. rows: n * head_dim, of row_bytes
/// each.
void reorder_heads(std::span<std::byte> rows, std::int64_t head_dim, std::size_t row_bytes,
                   HeadRows to);

/// The part is the q or k of a layer, whose rows reorder_heads is for.
bool is_rotated(const WeightPart& part);

}  // namespace belay::model
