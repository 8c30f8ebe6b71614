// A model for inference scores as the form that is trained does, to the bit, and is refused before
// it is read where it does not fit.
#include "model/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/env_wrapper.h"
#include "base/rng.h"
#include "cli/text_model.h"
#include "fault_env.h"
#include "model/hf_folder.h"
#include "model/score.h"
#include "train/dial.h"

namespace belay::model {
namespace {

using base::Env;
using tensor::DType;
using test::SmallMachine;

struct Case {
  DType compute, file;
  bool tied;
};

std::vector<std::vector<float>> scores_of(base::Context& ctx, const Model& model) {
  Documents documents(2);
  for (std::int32_t i = 0; i < 40; ++i) documents[0].push_back(i * 37 % 300);
  documents[1] = {5, 299, 0, 64};
  auto scores = score(ctx, Env::posix(), model, documents);
  EXPECT_TRUE(scores.ok()) << scores.status().message();
  return *scores;
}

/// A folder with a small random model, of awkward sizes.
std::string saved_model(const test::TempDir& dir, DType file, bool tied) {
  LoadedModel m;
  m.config = train::config_of_depth(2, 300, 64);
  m.config.tied_embeddings = tied;
  m.config.ffn_size = 172;
  std::uint64_t index = 0;
  for (const WeightSpec& w : weight_table(m.config)) {
    const base::Rng rng(1, base::Purpose::kInit, index++);
    std::vector<float>& values = m.weights.emplace_back();
    for (std::int64_t i = 0; i < w.shape.count(); ++i) {
      const float v = rng.normal(static_cast<std::uint64_t>(i));
      values.push_back(w.shape.rank() == 1 ? 1 + 0.1f * v : 0.1f * v);
    }
  }
  const base::Status saved = save_hf_folder(Env::posix(), dir.path(), m, {.dtype = file});
  EXPECT_TRUE(saved.ok()) << saved.message();
  return dir.path();
}

class InferenceForm : public ::testing::TestWithParam<Case> {};

TEST_P(InferenceForm, ScoresAsTheTrainedFormDoes) {
  const Case c = GetParam();
  test::TempDir dir;
  const std::string folder = saved_model(dir, c.file, c.tied);
  base::ThreadPool pool(2);
  base::Context ctx{pool};
  const auto loaded = load_hf_folder(Env::posix(), folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  Model trained(loaded->config, c.compute, true, 64);
  trained.load(ctx, loaded->weights);
  const auto source = open_hf_folder(Env::posix(), folder);
  ASSERT_TRUE(source.ok()) << source.status().message();
  const auto model = load_for_inference(ctx, Env::posix(), **source, c.compute, 64);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(scores_of(ctx, trained), scores_of(ctx, *model));
  // What the embedding is looked up in is the output layer's copy where it can be.
  const std::int64_t matrices = model_bytes(loaded->config, c.compute, false).packed;
  const std::int64_t panels = ops::packed_forward_shape(300, loaded->config.hidden_size).count();
  const bool shared = c.tied && (c.compute == c.file || c.compute == DType::kF32);
  EXPECT_EQ(model_bytes(loaded->config, c.compute, stored_types(**source)).packed,
            matrices + (shared ? 0 : panels * tensor::dtype_bytes(c.file)));
}

INSTANTIATE_TEST_SUITE_P(Forms, InferenceForm,
                         ::testing::Values(Case{DType::kF32, DType::kF32, true},
                                           Case{DType::kF32, DType::kF32, false},
                                           Case{DType::kBF16, DType::kF32, true},
                                           Case{DType::kBF16, DType::kBF16, true},
                                           Case{DType::kBF16, DType::kBF16, false},
                                           Case{DType::kF32, DType::kBF16, true}));

TEST(CheckEngineFits, RefusesAContextThatDoesNotFit) {
  cli::Compute compute = *cli::open_compute({.threads = 1, .dtype = "f32"});
  const Model model(train::config_of_depth(2, 300, 64), DType::kF32, false, 4096);
  const infer::EngineOptions one{.sequences = 1};
  const infer::EngineBytes bytes = infer::engine_bytes(compute.ctx, model, one);
  const auto need = static_cast<std::uint64_t>(bytes.pages + bytes.activations);
  SmallMachine enough(need), little(need - 1);
  EXPECT_TRUE(cli::check_engine_fits(enough, compute, model, one).ok());
  const base::Status refused = cli::check_engine_fits(little, compute, model, one);
  EXPECT_THAT(refused.message(), ::testing::HasSubstr("give a smaller --context"));
}

TEST(LoadForInference, RefusesWhatDoesNotFitAndSaysWhatWould) {
  test::TempDir dir;
  const std::string folder = saved_model(dir, DType::kBF16, true);
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const auto source = open_hf_folder(Env::posix(), folder);
  ASSERT_TRUE(source.ok());
  const ModelConfig& config = (*source)->config();
  const StoredTypes types = stored_types(**source);
  const auto bytes = [&](DType compute, const StoredTypes& t) {
    return static_cast<std::uint64_t>(model_bytes(config, compute, t).total());
  };
  const auto message = [&](std::uint64_t have, DType compute) {
    SmallMachine machine(have);
    const auto model = load_for_inference(ctx, machine, **source, compute, 64);
    return model.ok() ? "" : model.status().message();
  };
  const std::uint64_t bf16 = bytes(DType::kBF16, types);
  EXPECT_EQ(message(bf16, DType::kBF16), "");
  EXPECT_THAT(message(bf16, DType::kF32), ::testing::HasSubstr("--dtype bf16 fits"));
  EXPECT_THAT(message(bf16 - 1, DType::kBF16), ::testing::HasSubstr("--quantize 8 fits"));
  const std::uint64_t q8 = bytes(DType::kBF16, quantized_types(config, types, DType::kQ8));
  EXPECT_LT(q8, bf16);
  EXPECT_THAT(message(q8 - 1, DType::kBF16), ::testing::HasSubstr("--quantize 4 fits"));
  EXPECT_THAT(message(1000, DType::kBF16), ::testing::HasSubstr("use a smaller model"));
}

}  // namespace
}  // namespace belay::model
