// Long documents through windows, continuations beyond the context, and text
// that comes in pieces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fault_env.h"
#include "infer/continuation.h"
#include "model/hf_folder.h"
#include "model/score_long.h"
#include "test_data.h"
#include "text/utf8_stream.h"

namespace belay {
namespace {

using nlohmann::json;
using tensor::DType;
using test::env;
using test::kStories;

std::vector<std::int32_t> greedy_ids() {
  std::ifstream in(kStories + "/stories260K_oracle.json");
  return json::parse(in)["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
}

struct LoadedStories {
  base::ThreadPool pool{2};
  base::Context ctx{pool};
  std::unique_ptr<model::Model> model;

  LoadedStories() {
    auto loaded = model::load_hf_folder(env(), kStories);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    model = std::make_unique<model::Model>(loaded->config, DType::kF32, false, 512);
    model->load(ctx, loaded->weights);
  }
  std::vector<float> score_alone(std::span<const std::int32_t> ids) {
    const auto scores = model::score(ctx, env(), *model, {{ids.begin(), ids.end()}});
    EXPECT_TRUE(scores.ok()) << scores.status().message();
    return (*scores)[0];
  }
};

TEST(ScoreLong, TheBitsOfEachTokensWindowForAnyContextAndLength) {
  LoadedStories s;
  const auto all = greedy_ids();
  for (const std::int64_t context : {2, 3, 32, 33, 100}) {
    for (const std::size_t n : {1, 2, 31, 32, 33, 34, 49, 100, 131}) {
      const std::span<const std::int32_t> ids = std::span(all).first(n);
      const auto scores =
          model::score_long(s.ctx, env(), *s.model, ids, context, {.batch_tokens = 64});
      ASSERT_TRUE(scores.ok()) << scores.status().message();
      ASSERT_EQ(scores->size(), n - 1) << context;
      // The window of token t is the first one that holds it.
      const auto width = static_cast<std::size_t>(context), stride = width - width / 2;
      for (std::size_t t = 1; t < n; ++t) {
        const std::size_t w = t < width ? 0 : (t - width) / stride + 1;
        const std::size_t begin = w * stride;
        EXPECT_GE(t - begin, std::min(t, width / 2));
        const auto alone = s.score_alone(ids.subspan(begin, t + 1 - begin));
        ASSERT_EQ((*scores)[t - 1], alone.back())
            << "token " << t << " of " << n << ", " << context;
        if (n > 34) t += 16;
      }
    }
  }
  EXPECT_TRUE(model::score_long(s.ctx, env(), *s.model, {}, 32)->empty());
}

TEST(Continuation, GreedyIdsOfTheOracleAndStops) {
  LoadedStories s;
  const auto expected = greedy_ids();
  infer::Engine engine(s.ctx, *s.model, {.sequences = 1});
  std::vector<std::int32_t> streamed;
  const auto made =
      infer::continue_ids(engine, std::span(expected).first(1),
                          {.max_tokens = 100, .sampler = {.temperature = 0}}, [&](std::int32_t id) {
                            streamed.push_back(id);
                            return true;
                          });
  EXPECT_EQ(made->ids, std::vector<std::int32_t>(expected.begin() + 1, expected.begin() + 101));
  EXPECT_EQ(streamed, made->ids);
  EXPECT_FALSE(made->stopped);
  const auto stopped = infer::continue_ids(
      engine, std::span(expected).first(1),
      {.max_tokens = 100, .stop_ids = {expected[7]}, .sampler = {.temperature = 0}});
  EXPECT_TRUE(stopped->stopped);
  const auto at = std::find(expected.begin() + 1, expected.end(), expected[7]);
  EXPECT_EQ(stopped->ids, std::vector<std::int32_t>(expected.begin() + 1, at));
  int seen = 0;
  const auto ended = infer::continue_ids(engine, std::span(expected).first(1),
                                         {.max_tokens = 100, .sampler = {.temperature = 0}},
                                         [&](std::int32_t) { return ++seen < 5; });
  EXPECT_EQ(ended->ids.size(), 5u);
}

TEST(Continuation, GoesOnBeyondTheContextFromItsSecondHalf) {
  LoadedStories s;
  const auto all = greedy_ids();
  infer::Engine engine(s.ctx, *s.model, {.context = 32, .sequences = 1});
  const auto made = infer::continue_ids(engine, std::span(all).first(3),
                                        {.max_tokens = 80, .sampler = {.seed = 7}});
  ASSERT_EQ(made->ids.size(), 80u);
  // The same by hand: each token alone, after what the context holds of those before.
  std::vector<std::int32_t> ids(all.begin(), all.begin() + 3);
  std::size_t begin = 0;
  for (const std::int32_t id : made->ids) {
    if (ids.size() - begin == 32) begin = ids.size() - 16;
    const auto one = infer::complete(
        engine, {.prompt = {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.end()},
                 .max_tokens = 1,
                 .sampler = {.seed = 7},
                 .first_index = begin});
    ASSERT_EQ(id, one->front().ids.front());
    ids.push_back(id);
  }
  // A prompt longer than the context is cut to its end.
  const auto cut = infer::continue_ids(engine, std::span(all).first(100),
                                       {.max_tokens = 1, .sampler = {.temperature = 0}});
  const auto end = infer::continue_ids(engine, std::span(all).subspan(84, 16),
                                       {.max_tokens = 1, .sampler = {.temperature = 0}});
  EXPECT_EQ(cut->ids, end->ids);
}

TEST(Continuation, DrawsOnlyIdsThatTheTokenizerKnows) {
  LoadedStories s;
  infer::Engine engine(s.ctx, *s.model, {.context = 64, .sequences = 1});
  const std::vector<std::int32_t> prompt = {1};
  const auto made = infer::continue_ids(
      engine, prompt, {.max_tokens = 60, .vocab_size = 40, .sampler = {.temperature = 50}});
  for (const std::int32_t id : made->ids) EXPECT_LT(id, 40);
}

TEST(Utf8Stream, HoldsACharacterUntilItIsWhole) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\xB2z";
  for (std::size_t step = 1; step <= 4; ++step) {
    text::Utf8Stream stream;
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += step) {
      const std::string piece = stream.push(std::string_view(text).substr(at, step));
      text::Utf8Stream alone;
      EXPECT_EQ(alone.push(piece), piece);  // whole characters only
      out += piece;
    }
    EXPECT_EQ(out + stream.finish(), text);
  }
  text::Utf8Stream stream;
  EXPECT_EQ(stream.push("\x1B[2J\xFF\n\t"), "\xEF\xBF\xBD[2J\xEF\xBF\xBD\n\t");
  EXPECT_EQ(stream.push("x\xE2\x82"), "x");
  EXPECT_EQ(stream.push("y"), "\xEF\xBF\xBD\xEF\xBF\xBDy");
  EXPECT_EQ(stream.push("\xF0"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace belay
