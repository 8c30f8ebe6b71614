// Generation against the oracle of a trained model, and the sampler's draws.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "infer/continuation.h"
#include "infer/generate.h"
#include "model/hf_folder.h"
#include "train/pretrain.h"

namespace belay {
namespace {

using nlohmann::json;
using tensor::DType;

const std::string kStories = std::string(BELAY_TEST_DATA) + "/stories260K";

json oracle() {
  std::ifstream in(kStories + "/stories260K_oracle.json");
  return json::parse(in);
}

struct Stories {
  base::ThreadPool pool{2};
  base::Context ctx{pool};
  std::unique_ptr<model::Model> model;

  Stories() {
    auto loaded = model::load_hf_folder(base::Env::posix(), kStories);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    model = std::make_unique<model::Model>(loaded->config, DType::kF32, false, 512);
    model->load(ctx, loaded->weights);
  }
};

TEST(Generate, GreedyIdsOfTheOracle) {
  Stories s;
  const auto expected = oracle()["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  infer::Generator generator(s.ctx, *s.model, 512);
  const auto n = static_cast<std::int64_t>(expected.size()) - 1;
  const auto ids = infer::generate(generator, std::span(expected).first(1),
                                   {.max_tokens = n, .sampler = {.temperature = 0}});
  EXPECT_EQ(ids, std::vector<std::int32_t>(expected.begin() + 1, expected.end()));
  // The same from a long prompt, which passes in pieces.
  const auto rest = infer::generate(generator, std::span(expected).first(150),
                                    {.max_tokens = n - 149, .sampler = {.temperature = 0}});
  EXPECT_EQ(rest, std::vector<std::int32_t>(expected.begin() + 150, expected.end()));
}

TEST(Generate, LogitsOfTheOracleHoweverThePromptIsCut) {
  Stories s;
  const json o = oracle();
  const auto all = o["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const auto expected = o["greedy200_last_logits"].get<std::vector<double>>();
  const std::span<const std::int32_t> ids = std::span(all).first(200);
  infer::Generator generator(s.ctx, *s.model, 256);
  const std::span<const float> seen = generator.feed(ids);
  const std::vector<float> at_once(seen.begin(), seen.end());
  for (std::size_t v = 0; v < expected.size(); ++v) EXPECT_NEAR(at_once[v], expected[v], 1e-3);

  generator.reset();
  generator.feed(ids.first(65));
  generator.feed(ids.subspan(65, 1));
  const std::span<const float> again = generator.feed(ids.subspan(66));
  EXPECT_EQ(at_once, std::vector<float>(again.begin(), again.end()));
}

TEST(Generate, StopsAtAStopIdAndAtTheCapacity) {
  Stories s;
  const auto all = oracle()["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  infer::Generator generator(s.ctx, *s.model, 16);
  const auto ids =
      infer::generate(generator, std::span(all).first(1),
                      {.max_tokens = 64, .stop_ids = {all[5]}, .sampler = {.temperature = 0}});
  EXPECT_EQ(ids, std::vector<std::int32_t>(all.begin() + 1, all.begin() + 6));
  const auto full = infer::generate(generator, std::span(all).first(4),
                                    {.max_tokens = 64, .sampler = {.temperature = 0}});
  EXPECT_EQ(full.size(), 13u);  // the last one need not be fed
}

TEST(Generate, SameSeedSameText) {
  Stories s;
  infer::Generator generator(s.ctx, *s.model, 128);
  const std::vector<std::int32_t> prompt = {1};
  const auto with_seed = [&](std::uint64_t seed) {
    return infer::generate(generator, prompt,
                           {.max_tokens = 60, .sampler = {.temperature = 1, .seed = seed}});
  };
  const auto first = with_seed(1);
  EXPECT_EQ(first, with_seed(1));
  EXPECT_NE(first, with_seed(2));
}

std::vector<double> frequencies(infer::Sampler& sampler, std::span<const float> logits, int n) {
  std::vector<double> seen(logits.size());
  for (int i = 0; i < n; ++i) {
    seen[static_cast<std::size_t>(sampler.draw(logits, static_cast<std::uint64_t>(i)))] += 1.0 / n;
  }
  return seen;
}

TEST(Sampler, DrawsFollowTheTemperature) {
  const std::vector<float> logits = {0, 2, 1, -3, 1};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    infer::Sampler sampler({.temperature = temperature, .seed = 3}, 5);
    const auto seen = frequencies(sampler, logits, 20000);
    double total = 0;
    for (const float z : logits) total += std::exp(static_cast<double>(z) / temperature);
    for (std::size_t v = 0; v < logits.size(); ++v) {
      const double p = std::exp(static_cast<double>(logits[v]) / temperature) / total;
      EXPECT_NEAR(seen[v], p, 4 * std::sqrt(p * (1 - p) / 20000) + 1e-4) << v;
    }
  }
}

TEST(Sampler, TopKAndTopPKeepTheLikeliest) {
  const std::vector<float> logits = {0, 2, 1, -3, 1};
  infer::Sampler two({.top_k = 2, .seed = 3}, 5);  // of two equal logits the smaller id
  auto seen = frequencies(two, logits, 2000);
  EXPECT_GT(seen[1], 0.6);
  EXPECT_GT(seen[2], 0.1);
  EXPECT_DOUBLE_EQ(seen[0] + seen[3] + seen[4], 0);
  infer::Sampler nucleus({.top_p = 0.6, .seed = 3}, 5);  // p(1) = 0.53
  seen = frequencies(nucleus, logits, 2000);
  EXPECT_GT(seen[2], 0.1);
  EXPECT_DOUBLE_EQ(seen[0] + seen[3] + seen[4], 0);
  infer::Sampler greedy({.temperature = 0}, 5);
  EXPECT_EQ(greedy.draw(logits, 0), 1);
}

TEST(Sampler, OptionsInRange) {
  EXPECT_TRUE(infer::validate({}, "").ok());
  EXPECT_FALSE(infer::validate({.temperature = -1}, "").ok());
  EXPECT_FALSE(infer::validate({.temperature = NAN}, "").ok());
  EXPECT_FALSE(infer::validate({.top_k = -1}, "").ok());
  EXPECT_FALSE(infer::validate({.top_p = 0}, "").ok());
}

TEST(Continuation, GoesOnBeyondTheContext) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const model::ModelConfig config = train::config_of_depth(1, 256, 32);
  model::Model model(config, DType::kF32, false, 32);
  model.initialize(ctx, 1);
  infer::Generator generator(ctx, model, 32);
  const std::vector<std::int32_t> prompt = {73, 116, 32};
  const auto first = infer::continue_ids(generator, prompt, {.sampler = {.seed = 1}});
  EXPECT_EQ(first.ids.size(), 100u);
  EXPECT_EQ(first.ids, infer::continue_ids(generator, prompt, {.sampler = {.seed = 1}}).ids);
}

}  // namespace
}  // namespace belay
