#include "infer/generate.h"

#include <algorithm>

#include "ops/output_head.h"

namespace belay::infer {
namespace {

constexpr std::int64_t kPrefill = 64;  // tokens of a piece of the prompt

/// The forward over a batch against the cache; with `logits`, those of every row.
tensor::Tape record(const model::Model& model, model::Batch& batch, model::KvCache& cache,
                    tensor::Id* logits) {
  tensor::Tape tape;
  const model::CacheIds ids = cache.bind(tape);
  const tensor::Id h =
      model::forward(tape, model, batch.bind(tape), {.longest = cache.capacity(), .cache = &ids});
  if (logits != nullptr) *logits = ops::logits(tape, h, model::bind_head(tape, model));
  return tape;
}

}  // namespace

Generator::Generator(base::Context& ctx, const model::Model& model, std::int64_t capacity)
    : vocab_(model.config().vocab_size),
      cache_(model.config(), model.compute(), capacity),
      piece_(std::min(kPrefill, capacity)),
      one_(1) {
  BELAY_CHECK(capacity > 0 && capacity <= model.max_positions(), "positions for every token");
  prefill_.emplace(ctx, record(model, piece_, cache_, nullptr));
  decode_.emplace(ctx, record(model, one_, cache_, &logits_));
}

void Generator::run(tensor::Exec& exec, model::Batch& batch, std::span<const std::int32_t> ids) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    BELAY_CHECK(ids[i] >= 0 && ids[i] < vocab_, "ids are in the vocabulary");
    batch.ids[i] = ids[i];
    batch.positions[i] = static_cast<std::int32_t>(length() + static_cast<std::int64_t>(i));
  }
  cache_.set(length(), batch.n_tokens());
  exec.replay();
  cache_.set_past(length() + static_cast<std::int64_t>(ids.size()));
}

std::span<const float> Generator::feed(std::span<const std::int32_t> ids) {
  BELAY_CHECK(!ids.empty() && length() + static_cast<std::int64_t>(ids.size()) <= capacity(),
              "at least one token, and room for all");
  while (ids.size() > piece_.ids.size()) {  // whole pieces; what is left goes token by token
    run(*prefill_, piece_, ids.first(piece_.ids.size()));
    ids = ids.subspan(piece_.ids.size());
  }
  for (std::size_t i = 0; i < ids.size(); ++i) run(*decode_, one_, ids.subspan(i, 1));
  return {decode_->view(logits_).f32(), static_cast<std::size_t>(vocab_)};
}

std::vector<std::int32_t> generate(Generator& generator, std::span<const std::int32_t> prompt,
                                   const GenerateOptions& options) {
  Sampler sampler(options.sampler, generator.vocab_size());
  std::vector<std::int32_t> ids;
  generator.reset();
  std::span<const float> logits = generator.feed(prompt);
  while (static_cast<std::int64_t>(ids.size()) < options.max_tokens) {
    ids.push_back(sampler.draw(logits, options.first_index + ids.size()));
    const auto& stop = options.stop_ids;
    if (std::find(stop.begin(), stop.end(), ids.back()) != stop.end()) break;
    if (generator.length() == generator.capacity()) break;
    logits = generator.feed(std::span(ids).last(1));
  }
  return ids;
}

}  // namespace belay::infer
