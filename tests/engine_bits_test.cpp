// The engine's equalities: a text has the same bits alone, in any company, however it is cut,
// preempted or shared, and those of training's forward; for a trained model and for a full shape.
#include <gtest/gtest.h>

#include <cstring>

#include "bench/generate_bench.h"
#include "bench/random_weights.h"
#include "engine_runs.h"
#include "infer/engine.h"
#include "model/load.h"
#include "model/score.h"

namespace belay::test {
namespace {

using infer::Completion;
using infer::Engine;
using infer::EngineOptions;
using infer::Request;

/// A model, its type, and the bits of keys and values.
class EngineBits : public testing::TestWithParam<std::tuple<std::string, DType, int>> {};

TEST_P(EngineBits, LogProbabilitiesAreThoseOfOneForward) {
  const auto& [name, dtype, kv_bits] = GetParam();
  for (const base::Isa isa : base::supported_isas()) {
    Loaded l(name, dtype, isa);
    Engine engine(l.ctx, *l.model, {.sequences = 3, .step_rows = 48, .kv_bits = kv_bits});
    const auto prompt = random_ids(100, 1, l.vocab());
    const auto made =
        infer::complete(engine, {.prompt = prompt, .max_tokens = 50, .n = 3, .score_prompt = true});
    ASSERT_TRUE(made.ok());
    for (const Completion& c : *made) {
      std::vector<std::int32_t> all = prompt;
      all.insert(all.end(), c.ids.begin(), c.ids.end());
      const auto scores =
          model::score(l.ctx, base::Env::posix(), *l.model, {all}, {.kv_bits = kv_bits});
      ASSERT_TRUE(scores.ok());
      std::vector<float> seen = c.prompt_logprobs;
      seen.insert(seen.end(), c.logprobs.begin(), c.logprobs.end());
      ASSERT_EQ(seen.size(), scores->front().size());
      EXPECT_EQ(std::memcmp(seen.data(), scores->front().data(), seen.size() * 4), 0)
          << base::isa_name(isa);
    }
  }
}

TEST_P(EngineBits, AloneAndInAnyCompany) {
  const auto& [name, dtype, kv_bits] = GetParam();
  Loaded l(name, dtype);
  const auto requests = requests_of(24, l.vocab());
  const Results expected = alone(l.ctx, *l.model, requests, kv_bits);
  struct Row {
    EngineOptions options;
    int threads;
  };
  std::int64_t preempted = 0;
  for (Row row :
       std::vector<Row>{{{.sequences = 5}, 1},
                        {{.sequences = 24, .step_rows = 512}, 3},
                        {{.sequences = 8, .cache_tokens = 512, .step_rows = 128}, 2},
                        {{.sequences = 8, .cache_tokens = 512, .share_prefixes = false}, 8}}) {
    base::Context ctx{pool_of(row.threads), l.ctx.isa};
    row.options.kv_bits = kv_bits;
    Engine engine(ctx, *l.model, row.options);
    EXPECT_EQ(run(engine, requests), expected) << row.options.sequences << " texts";
    preempted += engine.stats().preempted;
  }
  EXPECT_GT(preempted, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, EngineBits,
                         testing::Combine(testing::Values("qwen3_tiny", "qwen2_tiny"),
                                          testing::Values(DType::kF32, DType::kBF16, DType::kQ8,
                                                          DType::kQ4),
                                          testing::Values(0, 8)),
                         [](const auto& param) {
                           return std::get<0>(param.param) + "_" +
                                  std::string(tensor::dtype_name(std::get<1>(param.param))) +
                                  (std::get<2>(param.param) == 8 ? "_kv8" : "");
                         });

/// The shape of Qwen3-0.6B with random weights: products, heads and a vocabulary of full size.
class EngineFullSize : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(EngineFullSize, AloneInCompanyAndInOneForward) {
  base::Context ctx{pool_of(2), base::best_isa()};
  const auto [bits, layers] = GetParam();
  auto config = bench::generate_shape("Q")->config;
  config.n_layers = layers;
  const bench::RandomWeights weights(config, bench::random_types(config, DType::kBF16, bits));
  const auto m =
      model::load_for_inference(ctx, base::Env::posix(), weights, DType::kBF16, kLongest);
  ASSERT_TRUE(m.ok()) << m.status().message();
  auto requests = requests_of(6, config.vocab_size);
  for (Request& r : requests) r.max_tokens = 4, r.score_prompt = true;
  const Results expected = alone(ctx, *m, requests);
  base::Context one{pool_of(1), base::best_isa()};
  Engine engine(one, *m, {.sequences = 4, .cache_tokens = 512, .step_rows = 96});
  EXPECT_EQ(run(engine, requests), expected);
  model::Documents all;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    all.push_back(requests[i].prompt);
    const auto& ids = expected.at({i + 1, 0}).ids;
    all.back().insert(all.back().end(), ids.begin(), ids.end());
  }
  const auto scores = model::score(ctx, base::Env::posix(), *m, all);
  ASSERT_TRUE(scores.ok());
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<float> seen = expected.at({i + 1, 0}).prompt;
    const auto& chosen = expected.at({i + 1, 0}).logprobs;
    seen.insert(seen.end(), chosen.begin(), chosen.end());
    ASSERT_EQ(seen.size(), (*scores)[i].size());
    EXPECT_EQ(std::memcmp(seen.data(), (*scores)[i].data(), seen.size() * 4), 0) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(BitsAndLayers, EngineFullSize,
                         testing::Combine(testing::Values(16, 8, 4), testing::Values(2, 28)),
                         [](const auto& param) {
                           return "bits" + std::to_string(std::get<0>(param.param)) + "_layers" +
                                  std::to_string(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace belay::test
