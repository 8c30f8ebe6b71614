// First weights: what they say before any training.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/rng.h"
#include "model/model.h"
#include "model/score.h"
#include "train/dial.h"

namespace belay::model {
namespace {

constexpr std::int64_t kVocab = 512, kContext = 128, kSeeds = 3;

struct Scored {
  double first = 0, again = 0;  // mean loss of random tokens, and of the same once more
  Scored& operator+=(const Scored& o) {
    first += o.first / kSeeds;
    again += o.again / kSeeds;
    return *this;
  }
};

/// Of 32 tokens that differ, then the same 32, over some such texts.
Scored scored(FirstAttention first, std::int64_t layers, std::int64_t width, std::uint64_t seed) {
  base::ThreadPool pool(2);
  base::Context ctx{pool};
  Model model(train::config_of_depth(layers, kVocab, kContext, width), tensor::DType::kF32, true,
              kContext);
  model.initialize(ctx, seed, first);
  constexpr int kTexts = 4, kTokens = 32;
  Documents texts;
  for (std::uint64_t t = 0; t < kTexts; ++t) {
    std::vector<std::int32_t> ids(kVocab);
    std::iota(ids.begin(), ids.end(), 0);
    const base::Rng rng(seed, base::Purpose::kTest, t);
    for (std::uint64_t i = 0; i < kTokens; ++i)
      std::swap(ids[i], ids[i + rng.below(i, kVocab - i)]);
    ids.resize(kTokens);
    for (int i = 0; i < kTokens; ++i) ids.push_back(ids[static_cast<std::size_t>(i)]);
    texts.push_back(std::move(ids));
  }
  const auto logs = score(ctx, base::Env::posix(), model, texts);
  EXPECT_TRUE(logs.ok()) << logs.status().message();
  Scored mean;
  for (const auto& log : *logs) {
    for (std::size_t i = 0; i < log.size(); ++i) {
      // The token after the first text's last one is no repetition of anything.
      if (i < kTokens - 1) mean.first -= log[i] / (kTexts * (kTokens - 1));
      if (i >= kTokens) mean.again -= log[i] / (kTexts * (kTokens - 1));
    }
  }
  return mean;
}

TEST(Initialize, InductionCopiesBeforeAnyTraining) {
  for (const auto& [layers, width] : {std::pair{2, 128}, std::pair{4, 96}, std::pair{4, 256}}) {
    Scored random, induction;
    for (const std::uint64_t seed : {1, 2, 3}) {
      random += scored(FirstAttention::kRandom, layers, width, seed);
      induction += scored(FirstAttention::kInduction, layers, width, seed);
    }
    EXPECT_LT(std::abs(random.first - random.again), 0.01) << layers << " x " << width;
    EXPECT_GT(induction.first - induction.again, 0.02) << layers << " x " << width;
    EXPECT_NEAR(induction.first, std::log(kVocab), 0.015 * std::log(kVocab));
  }
}

TEST(Initialize, InductionIsAddedToTheDrawsAndHasTheBitsOfAnyThreads) {
  const ModelConfig config = train::config_of_depth(3, kVocab, kContext, 128);
  const auto weights = [&](int threads, FirstAttention first) {
    base::ThreadPool pool(threads);
    base::Context ctx{pool};
    Model model(config, tensor::DType::kF32, true, kContext);
    model.initialize(ctx, 7, first);
    return std::vector<float>(model.masters(), model.masters() + model.n_floats());
  };
  const std::vector<float> one = weights(1, FirstAttention::kInduction);
  const std::vector<float> three = weights(3, FirstAttention::kInduction);
  const std::vector<float> drawn = weights(1, FirstAttention::kRandom);
  ASSERT_EQ(one.size(), three.size());
  EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof(float)), 0);

  Model model(config, tensor::DType::kF32, true, kContext);
  for (const std::int64_t layer : {1, 2}) {  // what no head of induction is in stays as drawn
    const auto i = static_cast<std::size_t>(find_weight(model.table(), Role::kDown, layer));
    const auto at = static_cast<std::size_t>(model.offset(i));
    const auto n = static_cast<std::size_t>(model.table()[i].shape.count());
    EXPECT_EQ(std::memcmp(one.data() + at, drawn.data() + at, n * sizeof(float)), 0);
  }
  EXPECT_NE(std::memcmp(one.data(), drawn.data(), one.size() * sizeof(float)), 0);
}

}  // namespace
}  // namespace belay::model
