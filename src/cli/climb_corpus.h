// The data of a climb: a corpus with a tokenizer of its own, prepared once in the climb's folder.
#pragma once

#include <string>

#include "cli/verbs.h"

namespace belay::cli {

struct ClimbCorpus {
  std::string corpus;  // text file or folder; empty: the embedded novels
  std::string folder;  // of the climb
  std::int64_t vocab_size = 0;
  int threads = 0;
};

/// The folder of a prepared dataset: the corpus itself when it is one, else FOLDER/shards, which is
/// made when it is not there, with its tokenizer in FOLDER/tokenizer.
base::Result<std::string> climb_data(Verbs& verbs, const ClimbCorpus& corpus);

}  // namespace belay::cli
