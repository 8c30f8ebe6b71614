// A tokenizer from text files: what `belay tokenizer train` does, for every verb that needs one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/verbs.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"

namespace belay::cli {

struct TokenizerTraining {
  text::TrainOptions train;
  std::string split = "qwen2", field = "text";
  std::vector<std::string> inputs, specials = {"<|endoftext|>"};
  double max_memory_gb = 0;  // 0: half of what is free
  int threads = 0;
};

struct TrainedTokenizer {
  text::Tokenizer tokenizer;
  std::uint64_t n_bytes = 0;
  std::size_t n_pieces = 0, n_files = 0;
  int threads = 0;
  double count_seconds = 0, seconds = 0;
};

/// With a progress line; files that are passed over are told.
base::Result<TrainedTokenizer> train_tokenizer(Verbs& verbs, TokenizerTraining options);

}  // namespace belay::cli
