// How well a model predicts text that it was not trained on: nats per token, and bits per byte of
// the raw text, which compares models of different tokenizers. Every token of a document counts
// once, predicted through windows of the context that overlap by half (or as asked), so that all
// but the first are predicted from at least half a context. Where documents begin with end-of-text
// that token is given; elsewhere a document's first token counts as a uniform guess.
#pragma once

#include <cstdint>

#include "base/env.h"
#include "base/status.h"
#include "data/dataset.h"
#include "model/model.h"

namespace belay::train {

struct Validation {
  double nats = 0;            // of all tokens that count
  std::int64_t n_tokens = 0;  // that count
  std::int64_t n_bytes = 0;   // of their text
  double nats_per_token() const { return n_tokens == 0 ? 0 : nats / static_cast<double>(n_tokens); }
  double bits_per_byte() const;
};

struct ValidationOptions {
  std::int64_t context = 0;     // at least 2, at most model.max_positions()
  std::int64_t max_tokens = 0;  // the first of the split; 0: all
  std::int64_t overlap = 0;     // tokens that neighbouring windows share, at least 1; 0: a half
};

/// The validation split. Fails as model::score does.
base::Result<Validation> validate(base::Context& ctx, base::Env& env, const model::Model& model,
                                  const data::Dataset& dataset, const ValidationOptions& options);

}  // namespace belay::train
