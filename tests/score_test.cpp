// Scoring against the score_oracle of a trained model, the same bits packed, alone and in pieces,
// and ids from hostile files.
#include "model/score.h"
#include "fault_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/env_wrapper.h"
#include "data/token_ids.h"
#include "model/hf_folder.h"
#include "test_data.h"

namespace belay {
namespace {

using nlohmann::json;
using tensor::DType;
using test::kStories;
using test::SmallMachine;
using ::testing::AllOf;
using ::testing::HasSubstr;

json score_oracle() {
  std::ifstream in(kStories + "/stories260K_oracle.json");
  return json::parse(in);
}

struct LoadedStories260K {
  base::ThreadPool pool;
  base::Context ctx{pool};
  std::unique_ptr<model::Model> model;

  LoadedStories260K(DType dtype, int threads, base::Isa isa = base::best_isa())
      : pool(threads), ctx{pool, isa} {
    auto loaded = model::load_hf_folder(base::Env::posix(), kStories);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    model = std::make_unique<model::Model>(loaded->config, dtype, false, 512);
    model->load(ctx, loaded->weights);
  }
  std::vector<std::vector<float>> score(const model::Documents& documents,
                                        const model::ScoreOptions& options = {}) {
    auto scores = model::score(ctx, base::Env::posix(), *model, documents, options);
    EXPECT_TRUE(scores.ok()) << scores.status().message();
    return scores.ok() ? *scores : std::vector<std::vector<float>>{};
  }
};

/// Documents of awkward lengths, cut from the score_oracle's greedy text.
model::Documents some_documents() {
  const auto ids = score_oracle()["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  model::Documents documents;
  for (const std::size_t n : {200, 1, 2, 63, 64, 65, 17, 257}) {
    documents.emplace_back(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return documents;
}

class StoriesScore : public testing::TestWithParam<base::Isa> {};

TEST_P(StoriesScore, LogProbabilitiesOfTheOracle) {
  const json o = score_oracle();
  const auto all = o["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const auto expected = o["greedy200_logprobs"].get<std::vector<double>>();
  LoadedStories260K m(DType::kF32, 2, GetParam());
  const auto scores = m.score({{all.begin(), all.begin() + 200}});
  ASSERT_EQ(scores.size(), 1u);
  ASSERT_EQ(scores[0].size(), expected.size());
  for (std::size_t t = 0; t < expected.size(); ++t) {
    EXPECT_NEAR(scores[0][t], expected[t], 1e-4) << "token " << t + 1;
  }
}

TEST_P(StoriesScore, MeanOfThePrompt) {
  const json o = score_oracle();
  LoadedStories260K m(DType::kF32, 1, GetParam());
  const auto scores = m.score({o["prompt_ids"].get<std::vector<std::int32_t>>()});
  double nll = 0;
  for (const float p : scores[0]) nll -= static_cast<double>(p);
  EXPECT_NEAR(nll / static_cast<double>(scores[0].size()), o["prompt_mean_nll"].get<double>(),
              1e-4);
}

INSTANTIATE_TEST_SUITE_P(Isas, StoriesScore, testing::ValuesIn(base::supported_isas()),
                         [](const auto& isa) { return std::string(base::isa_name(isa.param)); });

class SameBits : public testing::TestWithParam<DType> {};

TEST_P(SameBits, AlonePackedAndInPieces) {
  const model::Documents documents = some_documents();
  LoadedStories260K m(GetParam(), 2);
  const auto packed = m.score(documents, {.batch_tokens = 1024});
  EXPECT_EQ(packed, m.score(documents, {.batch_tokens = 300}));
  for (std::size_t d = 0; d < documents.size(); ++d) {
    EXPECT_EQ(packed[d], m.score({documents[d]})[0]) << "document " << d;
  }
  for (const std::int64_t piece : {1, 7, 64, 100, 500}) {
    EXPECT_EQ(packed, m.score(documents, {.piece = piece})) << "pieces of " << piece;
  }
}

TEST_P(SameBits, ABatchThatEndsHalfFull) {
  const auto ids = score_oracle()["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const model::Documents documents(9, {ids.begin(), ids.begin() + 60});
  LoadedStories260K m(GetParam(), 2);
  m.model = std::make_unique<model::Model>(m.model->config(), GetParam(), false, 60);
  m.model->load(m.ctx, model::load_hf_folder(base::Env::posix(), kStories)->weights);
  const auto scores = m.score(documents, {.batch_tokens = 500});
  for (const auto& row : scores) EXPECT_EQ(row, scores[0]);
}

TEST_P(SameBits, AnyNumberOfThreads) {
  const model::Documents documents = some_documents();
  const auto one = LoadedStories260K(GetParam(), 1).score(documents);
  EXPECT_EQ(one, LoadedStories260K(GetParam(), 2).score(documents));
  EXPECT_EQ(one, LoadedStories260K(GetParam(), 3).score(documents));
}

INSTANTIATE_TEST_SUITE_P(DTypes, SameBits, testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& dtype) {
                           return std::string(tensor::dtype_name(dtype.param));
                         });

TEST(ScoreMemory, RefusedWithTheOptionThatFits) {
  LoadedStories260K m(DType::kF32, 1);
  const model::Documents documents(16, std::vector<std::int32_t>(256, 5));
  const auto bytes = [&](const model::ScoreOptions& o) {
    return static_cast<std::uint64_t>(model::score_bytes(m.ctx, *m.model, documents, o));
  };
  SmallMachine half(bytes({.batch_tokens = 1024}));
  auto refused = model::score(m.ctx, half, *m.model, documents, {.batch_tokens = 4096});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), base::Code::kResource);
  EXPECT_THAT(refused.status().message(),
              AllOf(HasSubstr("do not fit in memory"), HasSubstr("--batch-tokens 1024 fits")));
  EXPECT_TRUE(model::score(m.ctx, half, *m.model, documents, {.batch_tokens = 1024}).ok());

  SmallMachine tiny(bytes({.piece = 64}));
  refused = model::score(m.ctx, tiny, *m.model, documents, {});
  EXPECT_THAT(refused.status().message(), HasSubstr("--piece 64 fits"));
  EXPECT_TRUE(model::score(m.ctx, tiny, *m.model, documents, {.piece = 64}).ok());

  SmallMachine none(1);
  EXPECT_FALSE(model::score(m.ctx, none, *m.model, documents, {}).ok());
  EXPECT_FALSE(model::check_model_fits(none, m.model->config(), DType::kF32, false).ok());
}

struct BadIds {
  std::string text, message;
};

class TokenIdsRefused : public testing::TestWithParam<BadIds> {};

TEST_P(TokenIdsRefused, WithFilePlaceAndRange) {
  const auto ids =
      data::parse_token_ids(GetParam().text, "ids.json", {.vocab_size = 512, .longest = 4});
  ASSERT_FALSE(ids.ok());
  EXPECT_THAT(ids.status().message(), AllOf(HasSubstr("ids.json"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, TokenIdsRefused,
    testing::Values(
        BadIds{"", "not valid JSON"}, BadIds{"[1, 2", "not valid JSON"},
        BadIds{"[1, 512]", "[1]: is out of range (seen 512; allowed 0 to 511)"},
        BadIds{"[-1]", "[0]: is out of range (seen -1; allowed 0 to 511)"},
        BadIds{"[1, 99999999999999999999]", "[1]"}, BadIds{"[1.0]", "[0]: is not a whole number"},
        BadIds{"[\"a\"]", "[0]: is not a whole number"}, BadIds{"[]", "holds no ids"},
        BadIds{"[[1], []]", "[1]: holds no ids"}, BadIds{"[[1], 2]", "[1]: is not an array"},
        BadIds{"[[1], [2, 700]]", "[1][1]: is out of range (seen 700"},
        BadIds{"[1, [2]]", "[1]: is not a whole number"}, BadIds{"[[[1]]]", "nested too deeply"},
        BadIds{"{\"ids\": [1]}", "is not an array"}, BadIds{"null", "is not an array"},
        BadIds{"7", "is not an array"}, BadIds{"[1, 2, 3, 4, 5]", "longer than the model's"},
        BadIds{"[[1], [1, 2, 3, 4, 5]]", "[1]: is longer than the model's"}));

TEST(TokenIds, OneDocumentOrSeveral) {
  const data::TokenIdLimits limits{.vocab_size = 512, .longest = 4};
  const auto one = data::parse_token_ids("[0, 511]", "f", limits);
  ASSERT_TRUE(one.ok()) << one.status().message();
  EXPECT_TRUE(one->one);
  EXPECT_EQ(one->documents, (model::Documents{{0, 511}}));
  const auto several = data::parse_token_ids(" [[1], [2, 3]]\n", "f", limits);
  ASSERT_TRUE(several.ok()) << several.status().message();
  EXPECT_FALSE(several->one);
  EXPECT_EQ(several->documents, (model::Documents{{1}, {2, 3}}));
}

}  // namespace
}  // namespace belay
