// The engine: pages that are shared and come back, texts that end and are cancelled, constraints
// and guesses. That nothing of it changes a bit of a text: engine_bits_test.cpp.
#include "infer/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "engine_runs.h"

namespace belay::test {
namespace {

using infer::Completion;
using infer::Ending;
using infer::Engine;
using infer::Request;

TEST(Engine, TextsOfOnePromptShareItsPagesAndCopyTheLast) {
  Loaded l("qwen3_tiny");
  Request r{.prompt = random_ids(150, 2, l.vocab()), .max_tokens = 40, .n = 4};
  for (const int kv_bits : {0, 8}) {
    Engine engine(l.ctx, *l.model, {.sequences = 4, .kv_bits = kv_bits});
    const Results together = run(engine, {r});
    EXPECT_EQ(engine.stats().copied_pages, 3);
    EXPECT_EQ(engine.stats().rows, 150 + 3 + 4 * 39);  // the prompt once, its last id for each
    EXPECT_EQ(together, alone(l.ctx, *l.model, {r}, kv_bits));
    EXPECT_NE(together.at({1, 0}).ids, together.at({1, 1}).ids);
  }
}

TEST(Engine, ABeginningThatWasComputedIsNotComputedAgain) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.sequences = 2});
  Request r{.prompt = random_ids(200, 2, l.vocab()), .max_tokens = 10};
  const auto first = infer::complete(engine, r)->front();
  const auto again = infer::complete(engine, r)->front();
  EXPECT_EQ(first.n_cached, 0);
  EXPECT_EQ(again.n_cached, 192);
  EXPECT_EQ(again.ids, first.ids);
  // A conversation goes on: prompt and answer are the beginning of the next prompt.
  r.prompt.insert(r.prompt.end(), first.ids.begin(), first.ids.end());
  r.prompt.push_back(5);
  EXPECT_EQ(infer::complete(engine, r)->front().n_cached, 192);
  r.prompt[70] ^= 1;
  EXPECT_EQ(infer::complete(engine, r)->front().n_cached, 64);
  EXPECT_EQ(engine.stats().used_pages, 0);
}

TEST(Engine, ALongPromptDoesNotStallTheOthers) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.sequences = 2, .step_rows = 32});
  int tokens = 0;
  Request quick{.prompt = {1}, .max_tokens = 100};
  quick.on_token = [&](std::int64_t, const infer::Token&, std::string_view) {
    return ++tokens, true;
  };
  ASSERT_TRUE(engine.submit(quick).ok());
  engine.step();
  ASSERT_TRUE(engine.submit({.prompt = random_ids(300, 2, l.vocab()), .max_tokens = 2}).ok());
  for (int step = 0; step < 5; ++step) {
    engine.step();
    EXPECT_EQ(tokens, step + 2);
  }
}

TEST(Engine, HasPagesForEveryTextUnlessToldOtherwise) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.context = 70, .sequences = 5});
  EXPECT_EQ(engine.stats().pages, 10);
  run(engine, {{.prompt = {1}, .max_tokens = 69, .n = 5}});
  EXPECT_EQ(engine.stats().preempted, 0);
}

TEST(Engine, CancelGivesPagesBackAtOnce) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.sequences = 2});
  const auto a =
      engine.submit({.prompt = random_ids(100, 2, l.vocab()), .max_tokens = 200, .n = 3});
  const auto b = engine.submit({.prompt = random_ids(10, 4, l.vocab()), .max_tokens = 5});
  engine.step();
  engine.step();
  EXPECT_GT(engine.stats().used_pages, 0);
  engine.cancel(*a);
  EXPECT_EQ(engine.stats().used_pages, 0);
  while (engine.step()) {
  }
  int cancelled = 0;
  for (const Completion& c : engine.take_finished()) {
    cancelled += c.ending == Ending::kCancelled ? 1 : 0;
    EXPECT_EQ(c.ending, c.request == *a ? Ending::kCancelled : Ending::kMaxTokens);
    EXPECT_TRUE(c.request != *b || c.ids.size() == 5);
  }
  EXPECT_EQ(cancelled, 3);
}

/// Requests that come, end and are cancelled at random moments; each that ends is as it is alone.
TEST(Engine, Soak) {
  Loaded l("qwen3_tiny");
  const char* long_run = std::getenv("BELAY_SOAK");  // the number of requests, for long proofs
  const std::size_t n = long_run == nullptr ? 150 : std::strtoull(long_run, nullptr, 10);
  const auto kinds = requests_of(40, l.vocab());
  const Results expected = alone(l.ctx, *l.model, kinds);
  Engine engine(l.ctx, *l.model, {.sequences = 7, .cache_tokens = 640, .step_rows = 128});
  const base::Rng rng(21, base::Purpose::kTest);
  std::map<infer::RequestId, std::size_t> kind_of;
  std::size_t sent = 0, finished = 0, cancelled = 0;
  for (std::uint64_t turn = 0; finished < n; ++turn) {
    for (std::uint64_t i = rng.below(8 * turn, 4); i > 0 && sent < n; --i, ++sent) {
      const std::size_t kind = rng.below(8 * turn + i, kinds.size());
      kind_of[*engine.submit(kinds[kind])] = kind;
    }
    if (rng.below(8 * turn + 6, 8) == 0 && !kind_of.empty()) {
      auto victim = kind_of.begin();
      std::advance(victim, rng.below(8 * turn + 7, kind_of.size()));
      engine.cancel(victim->first);
    }
    engine.step();
    for (const Completion& c : engine.take_finished()) {
      ++finished;
      const std::size_t kind = kind_of.at(c.request);
      kind_of.erase(c.request);
      if (c.ending == Ending::kCancelled) {
        ++cancelled;
        continue;
      }
      EXPECT_EQ((Bits{c.ids, c.logprobs, c.prompt_logprobs}), expected.at({kind + 1, 0}));
    }
  }
  EXPECT_GT(cancelled, 0u);
  EXPECT_EQ(engine.stats().used_pages, 0);
  EXPECT_FALSE(engine.step());
}

TEST(Engine, HowTextsEnd) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model,
                {.context = 64, .sequences = 2, .token_bytes = [](std::int32_t id) {
                   static const std::string letters = "abcdefghijklmnopqrstuvwxyz";
                   return std::string_view(letters).substr(static_cast<std::size_t>(id) % 26, 1);
                 }});
  const Request r{.prompt = {1, 2, 3}, .max_tokens = 40};
  const auto whole = infer::complete(engine, r)->front();
  EXPECT_EQ(whole.ending, Ending::kMaxTokens);
  EXPECT_EQ(whole.text.size(), 40u);
  Request stop = r;
  stop.stop_ids = {whole.ids[9]};
  const auto by_id = infer::complete(engine, stop)->front();
  EXPECT_EQ(by_id.ending, Ending::kStopId);
  EXPECT_EQ(by_id.ids.back(), whole.ids[9]);
  EXPECT_EQ(by_id.text, whole.text.substr(0, by_id.ids.size() - 1));
  Request words = r;
  words.stop_strings = {whole.text.substr(17, 3)};
  const auto by_string = infer::complete(engine, words)->front();
  EXPECT_EQ(by_string.ending, Ending::kStopString);
  EXPECT_EQ(by_string.text, whole.text.substr(0, whole.text.find(words.stop_strings[0])));
  Request more = r;
  more.max_tokens = 1000;
  const auto full = infer::complete(engine, more)->front();
  EXPECT_EQ(full.ending, Ending::kContext);
  EXPECT_EQ(full.ids.size(), 61u);
  Request early = r;
  int seen = 0;
  early.on_token = [&](std::int64_t, const infer::Token&, std::string_view) { return ++seen < 4; };
  EXPECT_EQ(infer::complete(engine, early)->front().ids.size(), 4u);
}

TEST(Engine, RefusesWhatCannotBe) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.context = 64, .sequences = 1});
  const auto fault = [&](const Request& r) {
    const auto id = engine.submit(r);
    return id.ok() ? "ok" : id.status().message();
  };
  using testing::HasSubstr;
  EXPECT_THAT(fault({.prompt = {}}), HasSubstr("prompt: has no ids"));
  EXPECT_THAT(fault({.prompt = {-1}}), HasSubstr("has an id that the model has no embedding for"));
  EXPECT_THAT(fault({.prompt = {static_cast<std::int32_t>(l.vocab())}}), HasSubstr("embedding"));
  EXPECT_THAT(fault({.prompt = {1}, .max_tokens = 0}), HasSubstr("max_tokens: is out of range"));
  EXPECT_THAT(fault({.prompt = {1}, .n = 5000}), HasSubstr("n: is out of range"));
  EXPECT_THAT(fault({.prompt = {1}, .sampler = {.temperature = NAN}}), HasSubstr("temperature"));
  Request longer{.prompt = random_ids(64, 1, l.vocab()), .max_tokens = 8};
  EXPECT_THAT(fault(longer), HasSubstr("longer than the context"));
  longer.truncate_prompt = true;
  const auto cut = infer::complete(engine, longer)->front();
  EXPECT_EQ(cut.n_truncated, 8);
  EXPECT_EQ(cut.ids.size(), 8u);
}

/// Only ids of one residue may come, and a few of them.
class Residue : public infer::Constraint {
 public:
  void mask(std::span<std::uint64_t> allowed) const override {
    for (std::size_t i = 0; i < allowed.size() * 64; ++i) {
      if (i % 3 != 1 || left_ == 0) allowed[i / 64] &= ~(std::uint64_t{1} << (i % 64));
    }
  }
  void accept(std::int32_t) override { --left_; }

 private:
  int left_ = 12;
};

TEST(Engine, AConstraintMasksAndEnds) {
  Loaded l("qwen3_tiny");
  Engine engine(l.ctx, *l.model, {.sequences = 2});
  Request r{.prompt = {1, 2, 3}, .max_tokens = 40};
  r.constraint = [] { return std::make_unique<Residue>(); };
  const auto made = infer::complete(engine, r)->front();
  EXPECT_EQ(made.ending, Ending::kConstraint);
  EXPECT_EQ(made.ids.size(), 12u);
  for (const std::int32_t id : made.ids) EXPECT_EQ(id % 3, 1);
}

/// Knows the text, and errs every few ids.
class Knows : public infer::Drafter {
 public:
  Knows(std::vector<std::int32_t> text, std::size_t errs) : text_(std::move(text)), errs_(errs) {}
  std::size_t propose(std::span<const std::int32_t> ids, std::span<std::int32_t> to) override {
    std::size_t n = 0;
    for (std::size_t at = ids.size(); at < text_.size() && n < to.size(); ++at, ++n) {
      to[n] = at % errs_ == 0 ? text_[at] ^ 1 : text_[at];
    }
    return n;
  }

 private:
  std::vector<std::int32_t> text_;
  std::size_t errs_;
};

TEST(Engine, GuessesChangeNothingButTheSteps) {
  Loaded l("qwen3_tiny", DType::kBF16);
  Request r{.prompt = random_ids(60, 2, l.vocab()), .max_tokens = 90, .sampler = {.seed = 5}};
  r.sampler.frequency_penalty = 0.3;
  for (const int kv_bits : {0, 8}) {
    r.drafter = nullptr;
    const Results expected = alone(l.ctx, *l.model, {r}, kv_bits);
    auto text = r.prompt;
    const auto& ids = expected.at({1, 0}).ids;
    text.insert(text.end(), ids.begin(), ids.end());
    for (const std::size_t errs : {1, 2, 7, 1000}) {
      Engine engine(l.ctx, *l.model, {.sequences = 2, .kv_bits = kv_bits});
      r.drafter = [&] { return std::make_unique<Knows>(text, errs); };
      EXPECT_EQ(run(engine, {r}), expected) << errs;
      EXPECT_TRUE(errs < 1000 || engine.stats().steps < 10);
    }
  }
}

}  // namespace
}  // namespace belay::test
