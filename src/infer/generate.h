// Continues one sequence of token ids with cached keys and values. Two tapes are recorded once and
// replayed: one takes a piece of the prompt, the other one token and gives its logits. Ids in, ids
// out: begin-of-text and stop ids are the caller's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "infer/sampler.h"
#include "model/batch.h"
#include "model/kv_cache.h"
#include "tensor/exec.h"

namespace belay::infer {

class Generator {
 public:
  /// capacity: tokens of prompt and continuation together, at most model.max_positions().
  Generator(base::Context& ctx, const model::Model& model, std::int64_t capacity);

  /// Forgets everything.
  void reset() { cache_.set_past(0); }
  /// Appends ids (at least one, in the vocabulary, within the capacity); returns the logits of what
  /// follows them, valid until the next call.
  std::span<const float> feed(std::span<const std::int32_t> ids);
  std::int64_t length() const { return cache_.past(); }
  std::int64_t capacity() const { return cache_.capacity(); }
  std::int64_t vocab_size() const { return vocab_; }

 private:
  void run(tensor::Exec& exec, model::Batch& batch, std::span<const std::int32_t> ids);

  std::int64_t vocab_;
  model::KvCache cache_;
  model::Batch piece_, one_;
  tensor::Id logits_ = tensor::kNone;
  std::optional<tensor::Exec> prefill_, decode_;
};

struct GenerateOptions {
  std::int64_t max_tokens = 64;
  std::vector<std::int32_t> stop_ids = {};  // generation ends with one of them, which is returned
  SamplerOptions sampler = {};
  std::uint64_t first_index = 0;  // of the draws of this seed: 0 for the first token, and so on
};

/// The continuation of a prompt (at least one id): max_tokens ids, or fewer when a stop id or the
/// generator's capacity ends it.
std::vector<std::int32_t> generate(Generator& generator, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options);

}  // namespace belay::infer
