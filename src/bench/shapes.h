// The shapes that are measured: those of the peers that Belay is compared with.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/config.h"

namespace belay::bench {

/// A Qwen3 model and a batch of `sequences` documents of `context` tokens.
struct TrainShape {
  std::string name;
  model::ModelConfig config;
  std::int64_t sequences = 1, context = 1;

  std::int64_t n_tokens() const { return sequences * context; }
  /// "6 layers, d 384, 6 heads, ffn 1024, vocabulary 8192, 16 x 256 tokens".
  std::string about() const;
};

struct TrainSizes {
  std::int64_t layers, width, heads, ffn, vocab, sequences, context;
};
TrainShape make_shape(std::string_view name, const TrainSizes& sizes);

/// S and M: two sizes of pretraining. nano: nanoGPT's on a CPU, of characters. llmc-*: llm.c's.
const std::vector<TrainShape>& train_shapes();

/// An unknown name is an error that suggests the nearest.
base::Result<const TrainShape*> find_shape(std::string_view name);

}  // namespace belay::bench
