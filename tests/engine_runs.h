// Requests to an engine, and the bits that come of them: together, or each in an engine of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convert/quantize.h"
#include "infer/engine.h"
#include "model/hf_folder.h"
#include "model/load.h"
#include "ops_model.h"

namespace belay::test {

/// Positions that the caches of these tests hold.
constexpr std::int64_t kLongest = 320;

inline std::vector<std::int32_t> random_ids(std::size_t n, std::uint64_t seed, std::int64_t vocab) {
  const base::Rng rng(seed, base::Purpose::kTest);
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<std::int32_t>(rng.below(i, static_cast<std::uint64_t>(vocab))));
  }
  return ids;
}

/// Requests of all kinds of lengths and options; some begin alike.
inline std::vector<infer::Request> requests_of(std::size_t n, std::int64_t vocab) {
  const base::Rng rng(11, base::Purpose::kTest);
  const auto common = random_ids(200, 3, vocab);
  std::vector<infer::Request> list;
  for (std::size_t i = 0; i < n; ++i) {
    infer::Request r;
    if (i % 3 == 1)
      r.prompt.assign(common.begin(), common.begin() + 70 + static_cast<int>(i % 7) * 20);
    const auto own = random_ids(1 + rng.below(4 * i, i % 4 == 0 ? 150 : 9), 100 + i, vocab);
    r.prompt.insert(r.prompt.end(), own.begin(), own.end());
    r.max_tokens = 1 + static_cast<std::int64_t>(rng.below(4 * i + 1, 60));
    r.sampler.seed = i;
    if (i % 5 == 2) r.sampler.top_p = 0.8;
    if (i % 5 == 3) r.sampler.repetition_penalty = 1.3;
    if (i % 5 == 4) r.sampler.temperature = 0;
    r.score_prompt = i % 6 == 5;
    list.push_back(std::move(r));
  }
  return list;
}

struct Bits {
  std::vector<std::int32_t> ids;
  std::vector<float> logprobs, prompt;
  bool operator==(const Bits& o) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * 4) == 0;
    };
    return ids == o.ids && same(logprobs, o.logprobs) && same(prompt, o.prompt);
  }
};

using Results = std::map<std::pair<infer::RequestId, std::int64_t>, Bits>;

inline Results run(infer::Engine& engine, const std::vector<infer::Request>& requests) {
  for (const infer::Request& r : requests) EXPECT_TRUE(engine.submit(r).ok());
  Results results;
  while (engine.step()) {
  }
  for (infer::Completion& c : engine.take_finished()) {
    results[{c.request, c.sample}] = {c.ids, c.logprobs, c.prompt_logprobs};
  }
  EXPECT_EQ(engine.stats().used_pages, 0);
  return results;
}

/// Each request in an engine of its own.
inline Results alone(base::Context& ctx, const model::Model& m,
                     const std::vector<infer::Request>& requests, int kv_bits = 0) {
  Results results;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    infer::Engine engine(
        ctx, m,
        {.sequences = 1, .step_rows = 1 << 12, .share_prefixes = false, .kv_bits = kv_bits});
    for (auto& [key, bits] : run(engine, {requests[i]})) results[{i + 1, key.second}] = bits;
  }
  return results;
}

/// models/<name> in a compute type, or at 8 or 4 bits.
struct Loaded {
  base::Context ctx{pool_of(2)};
  std::unique_ptr<model::Model> model;
  explicit Loaded(const std::string& name, DType dtype = DType::kF32,
                  base::Isa isa = base::best_isa()) {
    ctx.isa = isa;
    if (!tensor::is_quantized(dtype)) {
      model = load_model(ctx, name, dtype, kLongest);
      return;
    }
    auto source =
        model::open_hf_folder(base::Env::posix(), std::string(BELAY_TEST_DATA) + "/models/" + name);
    BELAY_CHECK(source.ok(), source.status().message());
    const model::WeightSource& weights = **source;
    const convert::QuantizedWeights rounded(
        isa, weights,
        model::quantized_types(weights.config(), model::stored_types(weights), dtype));
    auto read = model::load_for_inference(ctx, base::Env::posix(), rounded, DType::kBF16, kLongest);
    BELAY_CHECK(read.ok(), read.status().message());
    model = std::make_unique<model::Model>(std::move(*read));
  }
  std::int64_t vocab() const { return model->config().vocab_size; }
};

}  // namespace belay::test
