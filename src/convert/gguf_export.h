// A model and its tokenizer as a GGUF file that llama.cpp loads: keys as its converter writes them,
// matrices in the type that is asked for, vectors in f32. model/gguf_model.h reads it back.
#pragma once

#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/env.h"
#include "base/status.h"
#include "model/hf_folder.h"
#include "ops/quant_blocks.h"
#include "text/tokenizer.h"

namespace belay::convert {

struct GgufExport {
  ops::BlockType type = ops::BlockType::kF32;  // kF32, kF16, kBF16, kQ8_0 or kQ4_0
  std::string name = {};                       // general.name
  /// Of each matrix, by table index; empty: `type` for all. Then blocks are those of
  /// ops::quantize_row, whose scales are searched for, on these loops.
  std::vector<ops::BlockType> types = {};
  base::Isa isa = base::Isa::kScalar;
};

struct GgufExported {
  std::uint64_t bytes = 0;
  /// Matrices in f16 instead, because their rows are no whole blocks.
  std::vector<std::string> in_f16;
};

/// Replaces `path`, whole or not at all. Errors: weights that the type cannot hold, a tokenizer
/// that GGUF cannot say (text/ggml_vocabulary.h).
base::Result<GgufExported> export_gguf(base::Env& env, const std::string& path,
                                       const model::LoadedModel& model,
                                       const text::Tokenizer& tokenizer, const GgufExport& options);

}  // namespace belay::convert
