#include "infer/continuation.h"

#include <algorithm>

namespace belay::infer {

Continuation continue_ids(Generator& generator, std::span<const std::int32_t> prompt,
                          const ContinuationOptions& options,
                          const std::function<bool(std::int32_t)>& on_token) {
  BELAY_CHECK(!prompt.empty() && options.vocab_size <= generator.vocab_size(),
              "a prompt, and a vocabulary that the model has");
  const std::int64_t vocab = options.vocab_size > 0 ? options.vocab_size : generator.vocab_size();
  // One token of room at least, so that the half that is kept can go on.
  const auto half = static_cast<std::size_t>(std::max<std::int64_t>(1, generator.capacity() / 2));
  Sampler sampler(options.sampler, vocab);
  std::vector<std::int32_t> all(prompt.begin(), prompt.end());
  Continuation result;
  generator.reset();
  const auto begin = static_cast<std::int64_t>(all.size()) <= generator.capacity()
                         ? std::span<const std::int32_t>(all)
                         : std::span<const std::int32_t>(all).last(half);
  std::span<const float> logits = generator.feed(begin);
  while (static_cast<std::int64_t>(result.ids.size()) < options.max_tokens) {
    const std::int32_t id = sampler.draw(logits.first(static_cast<std::size_t>(vocab)), all.size());
    result.stopped =
        std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
    if (result.stopped) break;
    all.push_back(id);
    result.ids.push_back(id);
    if (on_token && !on_token(id)) break;
    if (static_cast<std::int64_t>(result.ids.size()) == options.max_tokens) break;
    const bool full = generator.length() == generator.capacity();
    if (full) generator.reset();
    logits = generator.feed(std::span<const std::int32_t>(all).last(full ? half : 1));
  }
  return result;
}

}  // namespace belay::infer
