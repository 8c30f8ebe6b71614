// What a caller asks of the engine, and what comes back. Ids in, ids and bytes out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/sampler.h"

namespace belay::infer {

/// Restricts what may come next: a grammar, a schema. Of one text, told of every id.
class Constraint {
 public:
  virtual ~Constraint() = default;
  /// Clears the bits of ids that may not come (all are set before). None left ends the text.
  virtual void mask(std::span<std::uint64_t> allowed) const = 0;
  virtual void accept(std::int32_t id) = 0;
};

/// Guesses what comes next, for speculative decoding. A guess that is right saves a step and one
/// that is wrong changes nothing: an id is taken only if it is what would have been drawn.
class Drafter {
 public:
  virtual ~Drafter() = default;
  /// Writes guesses of what follows `ids` to `to`; returns how many.
  virtual std::size_t propose(std::span<const std::int32_t> ids, std::span<std::int32_t> to) = 0;
};

struct Token {
  std::int32_t id;
  float logprob;
  std::span<const TopToken> top;  // as many as were asked for
};

struct Request {
  std::vector<std::int32_t> prompt;  // at least one id
  std::int64_t max_tokens = 64;
  std::int64_t n = 1;  // texts from the one prompt, with draws of their own
  SamplerOptions sampler = {};
  std::int64_t vocab_size = 0;  // ids are drawn below it; 0: the model's vocabulary
  std::vector<std::int32_t> stop_ids = {};
  std::vector<std::string> stop_strings = {};
  std::int64_t n_top = 0;         // log-probabilities of so many ids beside each token's
  bool score_prompt = false;      // log p of the prompt's ids after the first
  bool truncate_prompt = false;   // a prompt longer than the context loses its beginning
  std::uint64_t first_index = 0;  // of the draws: the position of the prompt's first id
  /// One for each text; none: unrestricted, no guesses.
  std::function<std::unique_ptr<Constraint>()> constraint = {};
  std::function<std::unique_ptr<Drafter>()> drafter = {};
  /// Sees each token of text `sample` and the bytes that are certain by then (a stop string is not
  /// part of them); false ends that text.
  std::function<bool(std::int64_t sample, const Token& token, std::string_view bytes)> on_token =
      {};
};

enum class Ending : std::uint8_t {
  kStopId,
  kStopString,
  kMaxTokens,
  kContext,     // the context is full
  kCancelled,   // by cancel(), or on_token
  kConstraint,  // no id may come
  kNotFinite,   // the model computes numbers that are not finite
};

using RequestId = std::uint64_t;

struct Completion {
  RequestId request = 0;
  std::int64_t sample = 0;  // which of the request's n texts
  Ending ending = Ending::kMaxTokens;
  std::vector<std::int32_t> ids;  // drawn; a stop id is the last
  std::vector<float> logprobs;    // of ids, under softmax(logits / temperature)
  std::vector<TopToken> top;      // n_top for each of ids
  std::string text;               // bytes, without what ended it
  std::vector<float> prompt_logprobs;
  std::int64_t n_prompt = 0;     // ids of the prompt that were used
  std::int64_t n_truncated = 0;  // and of its beginning that were not
  std::int64_t n_cached = 0;     // whose keys and values were there already
  std::int64_t n_drafted = 0, n_accepted = 0;
};

}  // namespace belay::infer
