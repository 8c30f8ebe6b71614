// A model and its tokenizer as a GGUF file that llama.cpp loads: keys as its converter writes them,
// matrices in the type that is asked for, vectors in f32. model/gguf_model.h reads it back. Weights
// are read, turned and written some rows at a time, about 256 KiB of them as f32: what it takes
// follows from the width of a row, not from the model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "model/weight_source.h"
#include "ops/quant_blocks.h"
#include "text/tokenizer.h"

namespace belay::convert {

struct GgufExport {
  ops::BlockType type = ops::BlockType::kF32;  // any but kQ4_K
  std::string name = {};                       // general.name
  /// Matrices that the source has as whole blocks, kQ8 or kQ4, stay as they are; `type` is that of
  /// the others.
  bool keep_blocks = false;
  /// Of embedding and output layer, where they are not kept; null: `type`.
  std::optional<ops::BlockType> vocab_type = std::nullopt;
};

struct GgufExported {
  std::uint64_t bytes = 0;
  /// Matrices in f16 though it was not asked for, because their rows are no whole blocks.
  std::vector<std::string> in_f16;
};

/// Replaces `path`, whole or not at all. Errors: those of the source, weights that the type cannot
/// hold, a tokenizer that GGUF cannot say (text/ggml_vocabulary.h).
base::Result<GgufExported> export_gguf(base::Env& env, const std::string& path,
                                       const model::WeightSource& source,
                                       const text::Tokenizer& tokenizer, const GgufExport& options);

}  // namespace belay::convert
