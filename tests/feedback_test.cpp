// Rounding with feedback of errors: what it costs in the sense of the inputs, against rounding each
// weight alone; its factors; the moments that it reads; the same bits for any threads.
#include "convert/feedback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/rng.h"
#include "convert/calibrate.h"
#include "convert/quantize.h"
#include "fault_env.h"
#include "model/hf_folder.h"
#include "ops/quantized.h"
#include "run_belay.h"
#include "test_data.h"

namespace belay::convert {
namespace {

using base::Env;
using tensor::DType;
using test::kStories;

/// Second moments of 4 n inputs that are mixtures of a few directions, and noise.
std::vector<float> moments_of(std::int64_t n) {
  const base::Rng rng(3, base::Purpose::kTest);
  const auto size = static_cast<std::size_t>(n);
  std::vector<double> sum(size * size);
  std::uint64_t draw = 0;
  for (std::int64_t t = 0; t < 4 * n; ++t) {
    const double a = static_cast<double>(rng.normal(draw++)),
                 b = static_cast<double>(rng.normal(draw++));
    std::vector<double> x(size);
    for (std::size_t i = 0; i < size; ++i) {
      const auto at = static_cast<double>(i);
      x[i] =
          a * std::sin(at) + b * std::cos(0.3 * at) + 0.3 * static_cast<double>(rng.normal(draw++));
    }
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t j = 0; j < size; ++j) sum[i * size + j] += x[i] * x[j];
    }
  }
  return {sum.begin(), sum.end()};
}

/// e H e^T of the errors of a row.
double cost(const std::vector<float>& moments, const std::vector<float>& row,
            const std::vector<std::byte>& blocks) {
  const std::size_t n = row.size();
  std::vector<float> back(n);
  ops::dequantize_row(blocks.data(), std::ssize(row), DType::kQ4, back.data());
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      sum += static_cast<double>(back[i] - row[i]) * static_cast<double>(moments[i * n + j]) *
             static_cast<double>(back[j] - row[j]);
    }
  }
  return sum;
}

std::vector<float> row_of(std::int64_t n, std::uint64_t seed) {
  const base::Rng rng(seed, base::Purpose::kTest);
  std::vector<float> row(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = rng.normal(i);
  return row;
}

std::vector<std::byte> rounded_row(const Feedback& feedback, const std::vector<float>& row) {
  std::vector<std::byte> blocks(
      static_cast<std::size_t>(tensor::stored_bytes(DType::kQ4, std::ssize(row))));
  feedback.round_row(row.data(), blocks.data());
  return blocks;
}

std::vector<std::byte> rounded_alone(const std::vector<float>& row) {
  std::vector<std::byte> blocks(
      static_cast<std::size_t>(tensor::stored_bytes(DType::kQ4, std::ssize(row))));
  ops::quantize_row(base::best_isa(), row.data(), std::ssize(row), DType::kQ4, blocks.data());
  return blocks;
}

TEST(Feedback, CostsLessThanRoundingEachAlone) {
  base::ThreadPool pool(2);
  base::Context ctx{pool};
  for (const std::int64_t n : {32, 45, 128}) {
    const std::vector<float> moments = moments_of(n);
    const Feedback feedback(ctx, moments, n);
    double with = 0, alone = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> row = row_of(n, seed);
      with += cost(moments, row, rounded_row(feedback, row));
      alone += cost(moments, row, rounded_alone(row));
    }
    EXPECT_LE(with, 0.6 * alone) << n;
  }
}

TEST(Feedback, OfInputsThatKnowNothingOfEachOtherIsRoundingToNearest) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  std::vector<float> moments(64 * 64);
  for (std::size_t i = 0; i < 64; ++i) moments[i * 65] = 1;
  const Feedback feedback(ctx, moments, 64);
  const std::vector<float> row = row_of(64, 7);
  const std::vector<std::byte> blocks = rounded_row(feedback, row);
  std::vector<float> back(64);
  ops::dequantize_row(blocks.data(), 64, DType::kQ4, back.data());
  for (std::size_t i = 0; i < 64; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, blocks.data() + i / 32 * 18, 2);
    const float scale = std::fabs(tensor::half_to_float(half));
    const float most = scale * 8;  // beyond the codes, the nearest is the last one
    EXPECT_LE(std::fabs(back[i] - std::clamp(row[i], -most, most)), 1.01f * scale);
  }
  // The search is over the same ways to round, with the best scale for none: about as good.
  EXPECT_LT(cost(moments, row, blocks), 1.1 * cost(moments, row, rounded_alone(row)));
}

TEST(Feedback, ARowOfOneWeightIsAsNearAsAScaleInHalfPrecision) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const Feedback feedback(ctx, std::vector<float>(1, 2.5f), 1);
  for (const float w : {1.0f, -0.37f, 123.4f}) {
    float back = 0;
    ops::dequantize_row(rounded_row(feedback, {w}).data(), 1, DType::kQ4, &back);
    EXPECT_NEAR(back, w, 0x1p-11f * std::fabs(w));
  }
}

TEST(Feedback, NoInputsAtAllAndZerosStayFinite) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const Feedback feedback(ctx, std::vector<float>(64 * 64), 64);
  for (const float value : {0.0f, 1e-30f, 5e5f}) {
    const std::vector<float> row(64, value);
    std::vector<float> back(64);
    ops::dequantize_row(rounded_row(feedback, row).data(), 64, DType::kQ4, back.data());
    for (const float v : back) EXPECT_NEAR(v, value, 1e-3f * value + 1e-7f);
  }
}

/// A model, a text of 600 tokens, and a calibration that holds one layer at a time.
struct Calibrated {
  explicit Calibrated(int threads, std::int64_t memory = 0) : pool(threads) {
    source = model::open_hf_folder(Env::posix(), kStories).value();
    m.emplace(model::load_for_inference(ctx, Env::posix(), *source, DType::kF32, 128).value());
    CalibrationText text{.ids = {}, .window = 100};
    for (std::int32_t i = 0; i < 600; ++i) text.ids.push_back(i * 37 % 512);
    calibration.emplace(ctx, *m, std::move(text), memory);
  }
  base::ThreadPool pool;
  base::Context ctx{pool};
  std::unique_ptr<model::WeightSource> source;
  std::optional<model::Model> m;
  std::optional<Calibration> calibration;
};

TEST(Calibration, TheSameBitsForAnyThreadsAndMemory) {
  std::vector<std::vector<std::byte>> first;
  for (const int threads : {1, 2, 3}) {
    Calibrated c(threads, threads == 3 ? 1 << 30 : 0);
    const CalibratedWeights weights(*c.source, file_types(*c.source, 4, 4), *c.calibration);
    std::vector<std::vector<std::byte>> blocks;
    const auto table = model::weight_table(weights.config());
    for (std::size_t i = 0; i < table.size(); ++i) {
      if (weights.type(i) != DType::kQ4) continue;
      const auto row =
          static_cast<std::size_t>(tensor::stored_bytes(DType::kQ4, table[i].shape[1]));
      std::vector<std::byte>& all =
          blocks.emplace_back(row * static_cast<std::size_t>(table[i].shape[0]));
      const std::int64_t half = table[i].shape[0] / 2;  // in two pieces
      ASSERT_TRUE(weights.read(i, 0, half, all.data()).ok());
      ASSERT_TRUE(weights
                      .read(i, half, table[i].shape[0] - half,
                            all.data() + row * static_cast<std::size_t>(half))
                      .ok());
    }
    EXPECT_GT(blocks.size(), 10u);
    if (first.empty()) first = blocks;
    EXPECT_EQ(blocks, first) << threads << " threads";
    // All layers in one pass, or the vocabulary and five layers in one each.
    EXPECT_EQ(c.calibration->passes(), threads == 3 ? 1 : 6);
  }
}

TEST(Calibration, MomentsAreTheSumOfProductsOfInputs) {
  Calibrated c(2);
  const std::span<const float> h = c.calibration->moments(model::Role::kQkv, 0);
  const auto n = static_cast<std::size_t>(c.source->config().hidden_size);
  ASSERT_EQ(h.size(), n * n);
  // The input of the first layer is the normalized embedding: its squares sum to n for each token,
  // where the norm's weights are ones; with them, computed here.
  const auto loaded = model::load_hf_folder(Env::posix(), kStories).value();
  const auto table = model::weight_table(loaded.config);
  const auto norm = static_cast<std::size_t>(model::find_weight(table, model::Role::kAttnNorm, 0));
  std::vector<double> expected(n * n);
  for (std::int32_t t = 0; t < 600; ++t) {
    const float* e = loaded.weights[0].data() + static_cast<std::size_t>(t * 37 % 512) * n;
    double square = 0;
    for (std::size_t i = 0; i < n; ++i)
      square += static_cast<double>(e[i]) * static_cast<double>(e[i]);
    const double inverse = 1 / std::sqrt(square / static_cast<double>(n) +
                                         static_cast<double>(loaded.config.norm_eps));
    std::vector<double> x(n);
    for (std::size_t i = 0; i < n; ++i)
      x[i] = static_cast<double>(e[i]) * inverse * static_cast<double>(loaded.weights[norm][i]);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) expected[i * n + j] += x[i] * x[j];
    }
  }
  double largest = 0;
  for (const double v : expected) largest = std::max(largest, std::fabs(v));
  for (std::size_t i = 0; i < n * n; ++i) {
    ASSERT_NEAR(static_cast<double>(h[i]), expected[i], 2e-5 * largest) << i;
  }
}

TEST(Calibration, OfTheProgramLosesLessAtTheSameBytes) {
  test::TempDir dir;
  std::string text;
  for (int i = 0; i < 120; ++i) {
    text +=
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
        "park. ";
    text += "One day, Tom saw a big dog number " + std::to_string(i) +
            " and they were very happy together. ";
  }
  test::write(dir.file("calibrate.txt"), text);
  test::write(dir.file("eval.txt"),
              "Once upon a time, there was a boy named Tim. He had a red ball and a small cat. Tim "
              "and the cat went to the park to play. They saw a big tree and a happy bird. The "
              "bird said, \"Can I play with you?\" Tim smiled and said yes. They all played.");
  const auto run = [&](const std::string& more) {
    const auto r =
        test::belay("quantize " + kStories + " --bits 4 --vocab-bits 4 --dtype f32 --json --out " +
                    dir.file("m.gguf") + " --eval-text " + dir.file("eval.txt") + more);
    EXPECT_EQ(r.code, 0) << r.err;
    return nlohmann::json::parse(r.out);
  };
  const auto plain = run(""), calibrated = run(" --calibrate " + dir.file("calibrate.txt"));
  EXPECT_EQ(plain.at("bytes"), calibrated.at("bytes"));
  EXPECT_LT(calibrated.at("mean_kl").get<double>(), plain.at("mean_kl").get<double>());
  // The file again, measured alone.
  const auto again = test::belay("quantize " + kStories + " --dtype f32 --json --compare " +
                                 dir.file("m.gguf") + " --eval-text " + dir.file("eval.txt"));
  EXPECT_EQ(nlohmann::json::parse(again.out).at("mean_kl"), calibrated.at("mean_kl"));
}

TEST(Calibration, WhatCannotBeIsRefused) {
  test::TempDir dir;
  test::write(dir.file("short.txt"), "Once upon a time.");
  const std::string begin = "quantize " + kStories + " --out " + dir.file("m.gguf") + " ";
  const auto refused = [&](const std::string& more, const char* what) {
    const auto r = test::belay(begin + more);
    EXPECT_NE(r.code, 0) << more;
    EXPECT_THAT(r.err, ::testing::HasSubstr(what));
    EXPECT_FALSE(Env::posix().exists(dir.file("m.gguf")));
  };
  const std::string short_text = dir.file("short.txt");
  refused("--bits 4 --calibrate " + short_text, "too short to calibrate with");
  refused("--bits 4 --calibrate " + dir.file("absent.txt"), "absent.txt");
  refused("--bits 8 --calibrate " + short_text, "rounded to 4 bits");
  refused("--bits 4 --calibrate " + short_text + " --eval-text " + short_text,
          "is the text of --calibrate");
  refused("--bits 4 --calibrate " + short_text + " --calibrate-tokens 10", "--calibrate-tokens");
  refused("--bits 4 --vocab-bits 6", "a multiple of 256");
  refused("--bits 4 --vocab-bits 5", "--vocab-bits");
  refused("--bits 4 --compare " + short_text, "exclude each other");
}

}  // namespace
}  // namespace belay::convert
