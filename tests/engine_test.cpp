// The engine: a text has the same bits alone, in any company, however it is cut, preempted, shared
// or guessed, and those of training's forward; its pages come back.
#include "infer/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "bench/generate_bench.h"
#include "bench/random_weights.h"
#include "convert/quantize.h"
#include "model/hf_folder.h"
#include "model/load.h"
#include "model/score.h"
#include "ops_model.h"

namespace belay::test {
namespace {

using infer::Completion;
using infer::Ending;
using infer::Engine;
using infer::EngineOptions;
using infer::Request;

constexpr std::int64_t kLongest = 320;

std::vector<std::int32_t> random_ids(std::size_t n, std::uint64_t seed, std::int64_t vocab) {
  const base::Rng rng(seed, base::Purpose::kTest);
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < n; ++i) {
    ids.push_back(static_cast<std::int32_t>(rng.below(i, static_cast<std::uint64_t>(vocab))));
  }
  return ids;
}

/// Requests of all kinds of lengths and options; some begin alike.
std::vector<Request> requests_of(std::size_t n, std::int64_t vocab) {
  const base::Rng rng(11, base::Purpose::kTest);
  const auto common = random_ids(200, 3, vocab);
  std::vector<Request> list;
  for (std::size_t i = 0; i < n; ++i) {
    Request r;
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

Results run(Engine& engine, const std::vector<Request>& requests) {
  for (const Request& r : requests) EXPECT_TRUE(engine.submit(r).ok());
  Results results;
  while (engine.step()) {
  }
  for (Completion& c : engine.take_finished()) {
    results[{c.request, c.sample}] = {c.ids, c.logprobs, c.prompt_logprobs};
  }
  EXPECT_EQ(engine.stats().used_pages, 0);
  return results;
}

/// Each request in an engine of its own.
Results alone(base::Context& ctx, const model::Model& m, const std::vector<Request>& requests,
              int kv_bits = 0) {
  Results results;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Engine engine(
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
