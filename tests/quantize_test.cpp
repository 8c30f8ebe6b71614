// A trained model at 8 and 4 bits: what it loses, the file that holds it, and one layer alone.
#include "convert/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fault_env.h"
#include "model/hf_folder.h"
#include "model/score.h"
#include "run_belay.h"
#include "test_data.h"

namespace belay::convert {
namespace {

using base::Env;
using nlohmann::json;
using tensor::DType;
using test::kStories;

json quantize(const std::string& file, const std::string& more) {
  const auto r =
      test::belay("quantize " + kStories + " --out " + file + " --eval-text " + kStories +
                  "/tokenizer.json --eval-tokens 300 --dtype f32 --json " + more);
  EXPECT_EQ(r.code, 0) << r.err;
  return r.code == 0 ? json::parse(r.out) : json();
}

TEST(Quantize, LosesLittleAndSaysSo) {
  test::TempDir dir;
  const json eight = quantize(dir.file("8.gguf"), "--bits 8");
  const json four = quantize(dir.file("4.gguf"), "--bits 4 --per-layer");
  const auto number = [](const json& r, const char* name) { return r.at(name).get<double>(); };
  EXPECT_LT(number(eight, "mean_kl"), 2e-3);
  EXPECT_GT(number(eight, "mean_kl"), 0);
  EXPECT_LT(number(four, "mean_kl"), 0.2);
  EXPECT_GT(number(four, "mean_kl"), number(eight, "mean_kl"));
  EXPECT_NEAR(number(eight, "bits_per_byte"), number(eight, "bits_per_byte_of_model"), 0.02);
  EXPECT_LT(number(four, "bits_per_weight"), number(eight, "bits_per_weight"));
  // Each layer alone costs less than all of them.
  ASSERT_EQ(four.at("layers").size(), 6u);  // five, and the vocabulary
  for (const json& row : four.at("layers")) {
    EXPECT_LT(number(row, "mean_kl"), number(four, "mean_kl"));
  }
}

TEST(Quantize, RefusesWhatIsQuantizedAlready) {
  test::TempDir dir;
  quantize(dir.file("8.gguf"), "--bits 8");
  const auto again =
      test::belay("quantize " + dir.file("8.gguf") + " --bits 4 --out " + dir.file("4.gguf"));
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, ::testing::HasSubstr("is quantized already"));
  const auto folder = test::belay("quantize " + kStories + " --bits 4 --out " + dir.path());
  EXPECT_EQ(folder.code, 2);
  EXPECT_THAT(folder.err, ::testing::HasSubstr(".gguf"));
}

TEST(QuantizedWeights, TheSameBitsInPiecesAndForAnyThreads) {
  const auto source = model::open_hf_folder(Env::posix(), kStories);
  ASSERT_TRUE(source.ok());
  model::Documents documents(1);
  for (std::int32_t i = 0; i < 70; ++i) documents[0].push_back(i * 37 % 512);
  for (const DType type : {DType::kQ8, DType::kQ4}) {
    const QuantizedWeights rounded(
        base::best_isa(), **source,
        model::quantized_types((*source)->config(), model::stored_types(**source), type));
    std::vector<std::vector<float>> first;
    for (const int threads : {1, 3}) {
      base::ThreadPool pool(threads);
      base::Context ctx{pool};
      const auto m = model::load_for_inference(ctx, Env::posix(), rounded, DType::kF32, 128);
      ASSERT_TRUE(m.ok()) << m.status().message();
      for (const std::int64_t piece : {0, 1, 7}) {
        const auto scores = model::score(ctx, Env::posix(), *m, documents, {.piece = piece});
        ASSERT_TRUE(scores.ok()) << scores.status().message();
        if (first.empty()) first = *scores;
        EXPECT_EQ(*scores, first) << piece << " at a time, " << threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace belay::convert
