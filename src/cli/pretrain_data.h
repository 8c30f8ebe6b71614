// The data of a run: the embedded novels, a text file as bytes, or a folder of shards.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "cli/pretrain_options.h"
#include "data/dataset.h"

namespace belay::cli {

struct RunData {
  data::Dataset set;
  bool embedded = false;
  bool bytes = false;  // token ids are bytes: there is no tokenizer to save
};

/// What --data names; the last twentieth of a text file (at most 1 MiB) is kept for validation.
base::Result<RunData> open_run_data(base::Env& env, const std::string& path);

/// Name, fingerprint, counts: for run.json.
nlohmann::ordered_json data_json(const data::Dataset& set);

/// A piece of the validation text: the words that a sample starts from, and how the text goes on.
struct Excerpt {
  std::string prompt, continuation;
};
Excerpt excerpt_of(const data::Dataset& set, std::size_t n_bytes);

}  // namespace belay::cli
