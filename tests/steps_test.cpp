// The bits of whole models: packed documents and each alone, one pass and pieces against cached
// keys and values, training and scoring, recomputation on and off, any number of threads over fifty
// steps.
#include <gtest/gtest.h>

#include <cstring>

#include "model/kv_cache.h"
#include "ops/output_head.h"
#include "ops_model.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace belay::test {
namespace {

constexpr std::int64_t kLongestDocument = 160;

/// One pass over packed documents: log p of each target.
std::vector<float> score(base::Context& ctx, const model::Model& m, const Documents& docs) {
  tensor::Tape tape;
  model::Batch batch(docs.n_tokens());
  const Id h = model::forward(tape, m, batch.bind(tape), {.longest = kLongestDocument});
  const Id logprob =
      ops::logprob_gather(tape, h, model::bind_head(tape, m), batch.bind_targets(tape));
  tensor::Exec exec(ctx, tape);
  batch.set(docs.ids, docs.targets, docs.lengths);
  exec.replay();
  const float* p = exec.view(logprob).f32();
  return {p, p + docs.n_tokens()};
}

/// The same of one document, `piece` tokens at a time.
std::vector<float> score_in_pieces(base::Context& ctx, const model::Model& m, const Documents& doc,
                                   std::int64_t piece) {
  model::KvCache cache(m.config(), m.compute(), kLongestDocument);
  std::vector<float> all;
  for (std::int64_t first = 0; first < doc.n_tokens(); first += piece) {
    const std::int64_t n = std::min(piece, doc.n_tokens() - first);
    tensor::Tape tape;
    model::Batch batch(n);
    const model::CacheIds ids = cache.bind(tape);
    const Id h =
        model::forward(tape, m, batch.bind(tape), {.longest = kLongestDocument, .cache = &ids});
    const Id logprob =
        ops::logprob_gather(tape, h, model::bind_head(tape, m), batch.bind_targets(tape));
    tensor::Exec exec(ctx, tape);
    for (std::int64_t t = 0; t < n; ++t) {
      const auto to = static_cast<std::size_t>(t), from = static_cast<std::size_t>(first + t);
      batch.ids[to] = doc.ids[from];
      batch.targets[to] = doc.targets[from];
      batch.positions[to] = static_cast<std::int32_t>(first + t);
    }
    cache.set(first, n);
    exec.replay();
    const float* p = exec.view(logprob).f32();
    all.insert(all.end(), p, p + n);
  }
  return all;
}

void expect_same_bits(std::span<const float> a, std::span<const float> b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(a[i]), std::bit_cast<std::uint32_t>(b[i]))
        << what << ", token " << i << ": " << a[i] << " and " << b[i];
  }
}

class ModelBits : public testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  /// Calls body(ctx, model) for every instruction set.
  template <class Body>
  void each_isa(Body body) {
    const auto& [name, dtype] = GetParam();
    for (const base::Isa isa : base::supported_isas()) {
      SCOPED_TRACE(base::isa_name(isa));
      base::Context ctx{pool_of(2), isa};
      const auto m = load_model(ctx, name, dtype, kLongestDocument);
      body(ctx, *m);
    }
  }
};

TEST_P(ModelBits, PackedDocumentsAreEachAlone) {
  each_isa([](base::Context& ctx, const model::Model& m) {
    const Documents docs({33, 1, 64, 7, 130, 2}, m.config().vocab_size);
    const std::vector<float> packed = score(ctx, m, docs);
    std::size_t first = 0;
    for (std::size_t d = 0; d < docs.lengths.size(); ++d) {
      const std::vector<float> alone = score(ctx, m, docs.alone(d));
      expect_same_bits(std::span(packed).subspan(first, alone.size()), alone,
                       "document " + std::to_string(d));
      first += alone.size();
    }
  });
}

TEST_P(ModelBits, OnePassIsPiecesAgainstCachedKeysAndValues) {
  each_isa([](base::Context& ctx, const model::Model& m) {
    const Documents doc({150}, m.config().vocab_size);
    const std::vector<float> whole = score(ctx, m, doc);
    for (const std::int64_t piece : {1, 3, 17, 64}) {
      expect_same_bits(score_in_pieces(ctx, m, doc, piece), whole,
                       "pieces of " + std::to_string(piece));
    }
  });
}

TEST_P(ModelBits, TrainingScoresAsScoringDoes) {
  each_isa([](base::Context& ctx, const model::Model& m) {
    const Documents docs({33, 1, 64, 30}, m.config().vocab_size);
    train::Step step(ctx, m, {.n_tokens = docs.n_tokens(), .longest = kLongestDocument});
    step.batch().set(docs.ids, docs.targets, docs.lengths);
    step.run();
    expect_same_bits(step.logprobs(), score(ctx, m, docs), "log-probabilities");
  });
}

/// Loss and gradients of one batch.
std::vector<float> gradients(base::Context& ctx, const model::Model& m, const Documents& docs,
                             bool checkpoint) {
  train::Step step(
      ctx, m, {.n_tokens = docs.n_tokens(), .longest = kLongestDocument, .checkpoint = checkpoint});
  step.batch().set(docs.ids, docs.targets, docs.lengths);
  std::vector<float> all{step.run()};
  all.insert(all.end(), m.gradients(), m.gradients() + m.n_floats());
  return all;
}

TEST_P(ModelBits, RecomputedActivationsGiveTheSameGradients) {
  each_isa([](base::Context& ctx, const model::Model& m) {
    const Documents docs({33, 1, 64, 30}, m.config().vocab_size);
    expect_same_bits(gradients(ctx, m, docs, true), gradients(ctx, m, docs, false), "gradients");
  });
}

TEST_P(ModelBits, AReplayReadsNothingOfTheOneBefore) {
  each_isa([](base::Context& ctx, const model::Model& m) {
    const Documents docs({33, 1, 64, 30}, m.config().vocab_size);
    train::Step step(
        ctx, m, {.n_tokens = docs.n_tokens(), .longest = kLongestDocument, .checkpoint = true});
    step.batch().set(docs.ids, docs.targets, docs.lengths);
    step.run();
    const std::vector<float> first(m.gradients(), m.gradients() + m.n_floats());
    poison(step.exec());
    step.run();
    expect_same_bits({m.gradients(), first.size()}, first, "gradients");
  });
}

INSTANTIATE_TEST_SUITE_P(Models, ModelBits,
                         testing::Combine(testing::Values("qwen3_tiny", "qwen2_tiny", "curve_init"),
                                          testing::Values(DType::kF32, DType::kBF16)),
                         [](const auto& p) {
                           return std::get<0>(p.param) + "_" +
                                  std::string(tensor::dtype_name(std::get<1>(p.param)));
                         });

/// The masters after fifty steps of two micro-batches, whose tokens make three chunks of a sum over
/// rows.
std::vector<float> train(int threads, DType dtype, bool muon, bool checkpoint) {
  base::Context ctx{pool_of(threads)};
  const auto m = load_model(ctx, "curve_init", dtype, 64);
  train::Step step(ctx, *m, {.n_tokens = 144, .longest = 64, .checkpoint = checkpoint});
  train::Optimizer optimizer(*m, {.muon = muon});
  for (std::uint64_t s = 0; s < 50; ++s) {
    for (std::uint64_t micro = 0; micro < 2; ++micro) {
      const Documents docs({64, 64, 16}, m->config().vocab_size, 2 * s + micro);
      step.batch().set(docs.ids, docs.targets, docs.lengths, 0.5);
      step.run(micro > 0);
    }
    EXPECT_TRUE(optimizer.step(ctx, *m, 3e-3).finite);
  }
  return {m->masters(), m->masters() + m->n_floats()};
}

class FiftySteps : public testing::TestWithParam<std::tuple<DType, bool>> {};

TEST_P(FiftySteps, SameWeightsForAnyNumberOfThreads) {
  const auto [dtype, muon] = GetParam();
  const std::vector<float> expected = train(1, dtype, muon, false);
  base::Context ctx{pool_of(1)};
  const auto before = load_model(ctx, "curve_init", dtype, 64);
  EXPECT_NE(std::memcmp(before->masters(), expected.data(), expected.size() * 4), 0);
  for (const int threads : {2, 3, 8}) {
    expect_same_bits(train(threads, dtype, muon, threads == 3), expected,
                     std::to_string(threads) + " threads");
  }
}

INSTANTIATE_TEST_SUITE_P(Optimizers, FiftySteps,
                         testing::Combine(testing::Values(DType::kF32, DType::kBF16),
                                          testing::Bool()),
                         [](const auto& p) {
                           return std::string(std::get<1>(p.param) ? "muon_" : "adamw_") +
                                  std::string(tensor::dtype_name(std::get<0>(p.param)));
                         });

}  // namespace
}  // namespace belay::test
