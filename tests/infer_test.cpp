// Generation against the stories_oracle of a trained model, and the sampler's draws.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/rng.h"
#include "infer/continuation.h"
#include "infer/model_step.h"
#include "infer/stop_strings.h"
#include "model/hf_folder.h"
#include "test_data.h"
#include "train/dial.h"

namespace belay {
namespace {

using nlohmann::json;
using tensor::DType;
using test::kStories;

json stories_oracle() {
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
  const auto expected = stories_oracle()["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  infer::Engine engine(s.ctx, *s.model, {.sequences = 1});
  for (const std::size_t n_prompt : {1, 150}) {  // a long prompt passes in one piece
    const auto made = infer::complete(
        engine,
        {.prompt = {expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(n_prompt)},
         .max_tokens = static_cast<std::int64_t>(expected.size() - n_prompt),
         .sampler = {.temperature = 0}});
    EXPECT_THAT(made->front().ids,
                testing::ElementsAreArray(std::span(expected).subspan(n_prompt)));
  }
}

TEST(Generate, LogitsOfTheOracleHoweverThePromptIsCut) {
  Stories s;
  const json o = stories_oracle();
  const auto all = o["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const auto expected = o["greedy200_last_logits"].get<std::vector<double>>();
  model::KvPages pages(s.model->config(), DType::kF32, 4);
  const std::vector<std::int32_t> table = {3, 0, 2, 1};
  infer::ModelStep step(s.ctx, *s.model, pages,
                        {.rows = 200, .segments = 1, .longest = 256, .table = 4});
  const auto logits_of = [&](std::initializer_list<std::size_t> pieces) {
    std::size_t at = 0;
    for (const std::size_t n : pieces) {
      step.begin();
      step.add(std::span(all).subspan(at, n), static_cast<std::int64_t>(at), table);
      step.run();
      at += n;
    }
    const auto last = static_cast<std::int32_t>(*(pieces.end() - 1)) - 1;
    const auto seen = step.logits(std::span(&last, 1));
    return std::vector<float>(seen.begin(), seen.end());
  };
  const std::vector<float> at_once = logits_of({200});
  for (std::size_t v = 0; v < expected.size(); ++v) EXPECT_NEAR(at_once[v], expected[v], 1e-3);
  EXPECT_EQ(at_once, logits_of({65, 1, 134}));
  EXPECT_EQ(at_once, logits_of({1, 128, 63, 8}));
}

/// Draws with options of their own.
struct Drawer {
  base::ThreadPool pool{1};
  base::Context ctx{pool};
  infer::SamplerOptions options;
  infer::Sampler sampler;
  const infer::History* history = nullptr;
  std::span<const std::uint64_t> allowed = {};

  explicit Drawer(infer::SamplerOptions o, std::int64_t vocab = 5)
      : options(std::move(o)), sampler(vocab) {}
  infer::Sampler::Drawn draw(std::span<const float> logits, std::uint64_t index) {
    return sampler.draw(ctx, {.logits = logits,
                              .options = options,
                              .index = index,
                              .history = history,
                              .allowed = allowed});
  }
};

std::vector<double> frequencies(Drawer& sampler, std::span<const float> logits, int n) {
  std::vector<double> seen(logits.size());
  for (int i = 0; i < n; ++i) {
    seen[static_cast<std::size_t>(sampler.draw(logits, static_cast<std::uint64_t>(i)).id)] +=
        1.0 / n;
  }
  return seen;
}

TEST(Sampler, DrawsFollowTheTemperature) {
  const std::vector<float> logits = {0, 2, 1, -3, 1};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    Drawer sampler({.temperature = temperature, .seed = 3});
    const auto seen = frequencies(sampler, logits, 20000);
    double total = 0;
    for (const float z : logits) total += std::exp(static_cast<double>(z) / temperature);
    for (std::size_t v = 0; v < logits.size(); ++v) {
      const double p = std::exp(static_cast<double>(logits[v]) / temperature) / total;
      EXPECT_NEAR(seen[v], p, 4 * std::sqrt(p * (1 - p) / 20000) + 1e-4) << v;
    }
  }
}

TEST(Sampler, TopKTopPAndMinPKeepTheLikeliest) {
  const std::vector<float> logits = {0, 2, 1, -3, 1};
  for (const infer::SamplerOptions& two : {infer::SamplerOptions{.top_k = 2, .seed = 3},
                                           {.top_p = 0.6, .seed = 3},  // p(1) = 0.53
                                           {.top_k = 4, .top_p = 0.6, .seed = 3}}) {
    Drawer drawer(two);  // of two equal logits the smaller id
    const auto seen = frequencies(drawer, logits, 2000);
    EXPECT_GT(seen[1], 0.6);
    EXPECT_GT(seen[2], 0.1);
    EXPECT_DOUBLE_EQ(seen[0] + seen[3] + seen[4], 0);
  }
  Drawer likely({.min_p = 0.3, .seed = 3});  // e^-1 = 0.37, e^-2 = 0.14
  const auto seen = frequencies(likely, logits, 2000);
  EXPECT_GT(std::min({seen[1], seen[2], seen[4]}), 0.1);
  EXPECT_DOUBLE_EQ(seen[0] + seen[3], 0);
  Drawer greedy({.temperature = 0});
  EXPECT_EQ(greedy.draw(logits, 0).id, 1);
}

/// Over a large vocabulary, kept ids against sorting all of them.
TEST(Sampler, KeepsWhatSortingKeeps) {
  constexpr std::size_t kVocab = 3001;
  const base::Rng rng(9, base::Purpose::kTest);
  for (const float spread : {0.1f, 2.0f, 6.0f}) {
    std::vector<float> logits(kVocab);
    for (std::size_t i = 0; i < kVocab; ++i) {
      logits[i] = std::round(spread * rng.normal(i) * 8) / 8;  // many are equal
    }
    std::vector<std::int32_t> order(kVocab);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    double total = 0;
    for (const float z : logits)
      total += std::exp(static_cast<double>(z - logits[static_cast<std::size_t>(order[0])]));
    for (const double top_p : {0.2, 0.9, 0.999}) {
      double sum = 0;
      std::size_t few = 0;
      while (sum < top_p * total) {
        sum += std::exp(static_cast<double>(logits[static_cast<std::size_t>(order[few++])] -
                                            logits[static_cast<std::size_t>(order[0])]));
      }
      Drawer drawer({.temperature = 1, .top_p = top_p, .seed = 4}, kVocab);
      std::set<std::int32_t> drawn;
      for (std::uint64_t i = 0; i < 500; ++i) drawn.insert(drawer.draw(logits, i).id);
      const std::set<std::int32_t> kept(order.begin(),
                                        order.begin() + static_cast<std::ptrdiff_t>(few));
      for (const std::int32_t id : drawn) EXPECT_TRUE(kept.contains(id)) << id;
    }
    Drawer drawer({.temperature = 30, .top_k = 7, .seed = 4}, kVocab);
    std::set<std::int32_t> drawn;
    for (std::uint64_t i = 0; i < 300; ++i) drawn.insert(drawer.draw(logits, i).id);
    EXPECT_EQ(drawn, std::set<std::int32_t>(order.begin(), order.begin() + 7));
  }
}

TEST(Sampler, PenaltiesBiasesAndMasks) {
  const std::vector<float> logits = {0, 2, 1, -3, 1};
  infer::History history;
  history.add(1, false);  // of the prompt
  history.add(2, true);
  history.add(2, true);
  history.add(3, true);
  const auto greedy = [&](infer::SamplerOptions o, std::uint64_t allowed = 31) {
    o.temperature = 0;
    Drawer drawer(std::move(o));
    drawer.history = &history;
    drawer.allowed = std::span(&allowed, 1);
    return drawer.draw(logits, 0);
  };
  EXPECT_EQ(greedy({}).id, 1);
  EXPECT_EQ(greedy({.repetition_penalty = 2.5}).id, 4);  // 0.8, 0.4, -7.5
  EXPECT_EQ(greedy({.presence_penalty = 1.5}).id, 1);    // not of the prompt
  EXPECT_EQ(greedy({.presence_penalty = -1.5}).id, 2);   // 2.5, once
  EXPECT_EQ(greedy({.frequency_penalty = -2.4}).id, 2);  // 5.8, twice
  EXPECT_EQ(greedy({.logit_bias = {{3, 5.5}}}).id, 3);
  EXPECT_EQ(greedy({}, 0b11000).id, 4);
  // What is recorded is of the logits as they were.
  const double lse = std::log(1 + std::exp(2.0) + 2 * std::exp(1.0) + std::exp(-3.0));
  EXPECT_NEAR(greedy({.logit_bias = {{3, 5.5}}}).logprob, -3 - lse, 1e-6);
  Drawer warm({.temperature = 2});
  const auto drawn = warm.draw(logits, 3);
  double total = 0;
  for (const float z : logits) total += std::exp(static_cast<double>(z) / 2);
  EXPECT_NEAR(drawn.logprob,
              static_cast<double>(logits[static_cast<std::size_t>(drawn.id)]) / 2 - std::log(total),
              1e-6);
  std::vector<infer::TopToken> top(3);
  warm.sampler.top(logits, top);
  EXPECT_EQ(top[0].id, 1);
  EXPECT_EQ(top[1].id, 2);
  EXPECT_EQ(top[2].id, 4);
  EXPECT_NEAR(top[2].logprob, 0.5 - std::log(total), 1e-6);
}

TEST(Sampler, OptionsInRange) {
  EXPECT_TRUE(infer::validate({}, "").ok());
  using O = infer::SamplerOptions;
  for (const O& bad :
       {O{.temperature = -1}, O{.temperature = NAN}, O{.top_k = -1}, O{.top_p = 0}, O{.min_p = 1.5},
        O{.min_p = NAN}, O{.repetition_penalty = 0}, O{.presence_penalty = INFINITY},
        O{.frequency_penalty = 101}, O{.logit_bias = {{-1, 0}}}, O{.logit_bias = {{8, 0}}},
        O{.logit_bias = {{1, NAN}}}}) {
    EXPECT_FALSE(infer::validate(bad, "", 8).ok());
  }
}

TEST(StopStrings, AcrossTokens) {
  const auto run = [](std::vector<std::string> stops, const std::vector<std::string>& tokens) {
    infer::StopStrings s(std::move(stops));
    std::string out;
    for (const std::string& token : tokens) {
      out += std::string(s.push(token)) + "|";
      if (s.found()) return out + "!";
    }
    return out + std::string(s.finish());
  };
  EXPECT_EQ(run({"\n\n"}, {"a\n", "b\n", "\nc"}), "a|\nb||!");
  EXPECT_EQ(run({"STOP"}, {"xS", "TO", "P y"}), "x|||!");
  EXPECT_EQ(run({"STOP"}, {"xS", "TO", "y"}), "x||STOy|");
  EXPECT_EQ(run({"STOP"}, {"xS", "TO"}), "x||STO");
  EXPECT_EQ(run({"abab", "bc"}, {"ab", "abc"}), "||!");  // the one that begins first
  EXPECT_EQ(run({"b", "abc"}, {"a", "b"}), "|a|!");
  EXPECT_EQ(run({""}, {"ab"}), "ab|");
}

TEST(Continuation, GoesOnBeyondTheContext) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const model::ModelConfig config = train::config_of_depth(1, 256, 32);
  model::Model model(config, DType::kF32, false, 32);
  model.initialize(ctx, 1);
  infer::Engine engine(ctx, model, {.sequences = 1});
  const std::vector<std::int32_t> prompt = {73, 116, 32};
  const auto first = infer::continue_ids(engine, prompt, {.sampler = {.seed = 1}});
  EXPECT_EQ(first->ids.size(), 100u);
  EXPECT_EQ(first->ids, infer::continue_ids(engine, prompt, {.sampler = {.seed = 1}})->ids);
  EXPECT_NE(first->ids, infer::continue_ids(engine, prompt, {.sampler = {.seed = 2}})->ids);
}

}  // namespace
}  // namespace belay
