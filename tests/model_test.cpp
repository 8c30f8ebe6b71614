// The whole model against an independent implementation (tests/oracle/): log-probabilities and
// every gradient, tensor by tensor, and a training curve of 200 steps.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/env.h"
#include "model/hf_folder.h"
#include "store/safetensors.h"
#include "train/optimizer.h"
#include "train/step.h"

namespace belay {
namespace {

using nlohmann::json;
using tensor::DType;

const std::string kModelData = BELAY_TEST_DATA;

json read_json(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in.good()) << path;
  return json::parse(in);
}

struct Loaded {
  base::ThreadPool pool{2};
  base::Context ctx{pool};
  std::unique_ptr<model::Model> model;

  Loaded(const std::string& folder, DType dtype, std::int64_t longest) {
    auto loaded = model::load_hf_folder(base::Env::posix(), folder);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    model = std::make_unique<model::Model>(loaded->config, dtype, true, longest);
    model->load(ctx, loaded->weights);
  }
};

struct Golden {
  std::vector<std::int32_t> ids, targets;
  std::vector<std::int64_t> lengths;
  std::vector<double> logprobs;
  double loss = 0;

  explicit Golden(const std::string& folder) {
    const json g = read_json(folder + "/golden.json");
    ids = g["ids"].get<std::vector<std::int32_t>>();
    targets = g["targets"].get<std::vector<std::int32_t>>();
    auto starts = g["doc_starts"].get<std::vector<std::int64_t>>();
    starts.push_back(static_cast<std::int64_t>(ids.size()));
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
      lengths.push_back(starts[i + 1] - starts[i]);
    for (const json& p : g["target_logprobs"])
      logprobs.push_back(p.is_null() ? 0 : p.get<double>());
    loss = g["loss"];
  }
};

/// Relative distance of two arrays in the 2-norm.
double distance(std::span<const float> a, std::span<const float> b) {
  double apart = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    apart += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(apart / std::max(size, 1e-30));
}

class GoldenModel : public testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(GoldenModel, LogProbabilitiesAndGradients) {
  const auto [name, checkpoint] = GetParam();
  const std::string folder = kModelData + "/models/" + name;
  const Golden golden(folder);
  Loaded m(folder, DType::kF32, 64);
  const auto n = static_cast<std::int64_t>(golden.ids.size());
  train::Step step(m.ctx, *m.model, {.n_tokens = n, .longest = 64, .checkpoint = checkpoint});
  step.batch().set(golden.ids, golden.targets, golden.lengths);
  EXPECT_NEAR(step.run(), golden.loss, 2e-5);
  for (std::size_t t = 0; t < golden.ids.size(); ++t) {
    if (golden.targets[t] < 0) continue;
    EXPECT_NEAR(step.logprobs()[t], golden.logprobs[t], 1e-4) << "token " << t;
  }
  auto files = store::TensorFiles::open(base::Env::posix(), folder + "/golden_grads.safetensors");
  ASSERT_TRUE(files.ok()) << files.status().message();
  for (std::size_t i = 0; i < m.model->table().size(); ++i) {
    const model::WeightSpec& w = m.model->table()[i];
    const std::int64_t row = w.shape.count() / w.shape[0];
    for (const model::WeightPart& part : w.parts) {
      std::vector<float> expected(static_cast<std::size_t>(part.rows * row));
      const auto status = files->read_f32(part.hf_name, expected);
      ASSERT_TRUE(status.ok()) << status.message();
      const std::span<const float> seen(m.model->gradient(i).f32() + part.row * row,
                                        expected.size());
      EXPECT_LT(distance(seen, expected), 2e-5) << part.hf_name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, GoldenModel,
    testing::Combine(testing::Values("qwen3_tiny", "qwen2_tiny", "llama3_tiny"), testing::Bool()),
    [](const auto& shape) {
      return std::get<0>(shape.param) + (std::get<1>(shape.param) ? "_checkpoint" : "");
    });

struct Curve {
  json golden = read_json(kModelData + "/curve_f32.json");
  std::vector<std::int32_t> text;

  Curve() {
    std::ifstream in(kModelData + "/shakespeare_200k.txt", std::ios::binary);
    for (char c; in.get(c);) text.push_back(static_cast<unsigned char>(c));
  }
  /// Rows of 65 ids from the given offsets.
  std::vector<std::int32_t> rows(const std::vector<std::int64_t>& offsets) const {
    std::vector<std::int32_t> ids;
    for (std::int64_t o : offsets) ids.insert(ids.end(), text.begin() + o, text.begin() + o + 65);
    return ids;
  }
  std::vector<std::int64_t> offsets(std::int64_t step) const {
    const std::int64_t n = golden["train_bytes"];
    std::vector<std::int64_t> list;
    for (std::int64_t r = 0; r < 8; ++r) list.push_back((step * 8 + r) * 64 * 7 % (n - 65));
    return list;
  }
};

double train_curve(DType dtype, std::vector<double>& losses) {
  const Curve curve;
  Loaded m(kModelData + "/models/curve_init", dtype, 64);
  train::Step step(m.ctx, *m.model, {.n_tokens = 512, .longest = 64});
  train::Optimizer optimizer(*m.model, {.weight_decay = curve.golden["weight_decay"]});
  for (std::int64_t s = 0; s < 200; ++s) {
    step.batch().set_rows(curve.rows(curve.offsets(s)), 64);
    losses.push_back(static_cast<double>(step.run()));
    const double lr = curve.golden["lr"];
    optimizer.step(m.ctx, *m.model, lr * std::min(1.0, (static_cast<double>(s) + 1) / 20));
  }
  train::Step valid(m.ctx, *m.model, {.n_tokens = 1024, .longest = 64});
  valid.batch().set_rows(curve.rows(curve.golden["val_offsets"]), 64);
  return static_cast<double>(valid.run());
}

TEST(TrainingCurve, TwoHundredStepsFollowTheOracle) {
  const Curve curve;
  std::vector<double> losses;
  const double valid = train_curve(DType::kF32, losses);
  ASSERT_EQ(curve.golden["losses"].size(), losses.size());
  for (std::size_t s = 0; s < losses.size(); ++s) {
    EXPECT_NEAR(losses[s], curve.golden["losses"][s].get<double>(), 1e-3) << "step " << s;
  }
  EXPECT_NEAR(valid, curve.golden["val_loss_after"].get<double>(), 1e-3);
  EXPECT_NEAR(losses[0], std::log(256.0), 0.01 * std::log(256.0));
}

TEST(TrainingCurve, Bf16EndsWhereF32Ends) {
  std::vector<double> f32, bf16;
  const double full = train_curve(DType::kF32, f32), half = train_curve(DType::kBF16, bf16);
  EXPECT_NEAR(half, full, 0.002 * full);
}

TEST(TrainingCurve, OneBatchIsOverfitted) {
  const Curve curve;
  Loaded m(kModelData + "/models/curve_init", DType::kF32, 64);
  train::Step step(m.ctx, *m.model, {.n_tokens = 512, .longest = 64});
  train::Optimizer optimizer(*m.model, {.weight_decay = 0});
  step.batch().set_rows(curve.rows(curve.offsets(0)), 64);
  float loss = 0;
  for (int s = 0; s < 200; ++s) {
    loss = step.run();
    optimizer.step(m.ctx, *m.model, 6e-3);
  }
  EXPECT_LT(loss, 0.05f);
}

}  // namespace
}  // namespace belay
