// Compute at equal loss, on curves whose multipliers are known by hand.
#include "forecast/compute_multiplier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "report/compute_curves.h"

namespace belay::forecast {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const base::Rng kRng(1, base::Purpose::kBootstrap);

/// The curve with its FLOPs multiplied.
Curve times(Curve curve, double factor) {
  for (CurvePoint& p : curve) p.flops *= factor;
  return curve;
}

ComputeMultiplier multiplier(const std::vector<Curve>& a, const std::vector<Curve>& b,
                             bool paired = false) {
  return compute_multiplier(a, b, {.paired = paired}, kRng).value();
}

TEST(ComputeMultiplier, FlopsToReachFollowTheBestLossSoFar) {
  const Curve curve = {{1, 4}, {4, 2}, {16, 3}, {64, 1}};
  EXPECT_DOUBLE_EQ(flops_to_reach(curve, 3).value(), 2);  // half way from 1 to 4, in logs
  EXPECT_DOUBLE_EQ(flops_to_reach(curve, 2).value(), 4);
  EXPECT_DOUBLE_EQ(flops_to_reach(curve, 1.5).value(), 16);  // the worse point is passed over
  EXPECT_DOUBLE_EQ(flops_to_reach(curve, 1).value(), 64);
  EXPECT_FALSE(flops_to_reach(curve, 0.9));
  EXPECT_FALSE(flops_to_reach(curve, 4)) << "reached before the curve begins";
  EXPECT_FALSE(flops_to_reach({}, 1));
}

TEST(ComputeMultiplier, TrailingMeanTakesAFactorOfCompute) {
  const Curve smooth = trailing_mean(Curve{{1, 8}, {2, 4}, {3, 2}, {6, 1}}, 2);
  ASSERT_EQ(smooth.size(), 4u);
  EXPECT_EQ(smooth[1].loss, 4);  // not the point at half the compute
  EXPECT_EQ(smooth[2].loss, 3);
  EXPECT_EQ(smooth[3].loss, 1);
  EXPECT_EQ(smooth[3].flops, 6);
}

TEST(ComputeMultiplier, AShiftedCurveHasOneMultiplier) {
  Curve a;
  for (double flops = 1; flops < 2000; flops *= 1.3) a.push_back({flops, std::pow(flops, -0.3)});
  const ComputeMultiplier m = multiplier({a}, {times(a, 3)});
  EXPECT_EQ(m.levels.size(), 9u);
  for (const MultiplierAt& level : m.levels) EXPECT_NEAR(level.multiplier.value, 3, 1e-9);
  EXPECT_NEAR(m.median.value, 3, 1e-9);
  EXPECT_FALSE(m.median.interval) << "one seed has no interval";
  EXPECT_NEAR(multiplier({times(a, 3)}, {a}).median.value, 1.0 / 3, 1e-9);
}

TEST(ComputeMultiplier, LevelsLieInTheLastFactorOfTen) {
  // loss = 4 - log10 f and 4 - log10 f / 2: where A took f, B takes f squared.
  const ComputeMultiplier m = multiplier({{{1, 4}, {100, 2}}}, {{{1, 4}, {1e4, 2}}});
  ASSERT_EQ(m.levels.size(), 9u);
  EXPECT_NEAR(m.levels[0].loss, 3, 1e-12);
  EXPECT_NEAR(m.levels[0].flops_a, 10, 1e-9);
  EXPECT_NEAR(m.levels[0].flops_b, 100, 1e-9);
  EXPECT_NEAR(m.levels[0].multiplier.value, 10, 1e-9);
  EXPECT_EQ(m.levels[8].loss, 2);
  EXPECT_NEAR(m.levels[8].multiplier.value, 100, 1e-9);
  EXPECT_NEAR(m.median.value, std::sqrt(1000), 1e-9);
}

TEST(ComputeMultiplier, TheFinalLevelIsTheLowestThatAllReached) {
  const ComputeMultiplier m = multiplier({{{1, 4}, {100, 2}}}, {{{1, 4}, {10, 3}}});
  EXPECT_EQ(m.levels.back().loss, 3);
  EXPECT_NEAR(m.levels.back().multiplier.value, 1, 1e-9);
  const std::vector<Curve> low = {{{1, 2}, {10, 1}}}, high = {{{1, 4}, {10, 3}}};
  EXPECT_FALSE(compute_multiplier(low, high, {}, kRng)) << "their losses never meet";
}

TEST(ComputeMultiplier, PairedSeedsLeaveOutWhatTheyShare) {
  const Curve a = {{1, 4}, {1000, 1}};
  const std::vector<double> lucks = {1, 1.5, 0.8, 1.2};
  std::vector<Curve> as, bs;
  for (const double luck : lucks) {
    as.push_back(times(a, luck));
    bs.push_back(times(a, 2 * luck));
  }
  const ComputeMultiplier paired = multiplier(as, bs, true), apart = multiplier(as, bs);
  EXPECT_NEAR(paired.median.value, 2, 1e-9);
  EXPECT_NEAR(paired.median.interval->low, 2, 1e-9);
  EXPECT_NEAR(paired.median.interval->high, 2, 1e-9);
  EXPECT_NEAR(apart.median.value, 2, 1e-9);
  EXPECT_LT(apart.median.interval->low, 1.8);
  EXPECT_GT(apart.median.interval->high, 2.2);
  const auto& final_level = apart.levels.back();
  EXPECT_LT(final_level.multiplier.interval->low, final_level.multiplier.value);
}

/// A run of two logged steps and two validations, 100 FLOPs a token.
store::RunRecord run_of(const std::string& fingerprint, double tokens, double bytes) {
  store::RunRecord run;
  run.folder = "runs/" + fingerprint;
  run.manifest = {{"model", {{"flops_per_token", 100}}},
                  {"data",
                   {{"fingerprint", fingerprint},
                    {"train", {{"tokens", tokens}, {"bytes", bytes}}},
                    {"valid", {{"documents", 1}, {"bytes", 500}}}}}};
  run.metrics = {{{"step", 1}, {"tokens", 10}, {"flops", 1000}, {"loss", 3}},
                 {{"step", 1}, {"tokens", 10}, {"val_loss", 3.5}, {"val_bpb", 2}},
                 {{"step", 2}, {"tokens", 20}, {"flops", 2000}, {"loss", 2}},
                 {{"step", 2}, {"tokens", 20}, {"val_loss", 2.5}, {"val_bpb", 1.5}}};
  return run;
}

TEST(ComputeCurves, ValidationInNatsOnTheSameDataElseInBitsPerByte) {
  const auto nats = *report::compute_curves({run_of("x", 90, 200), run_of("x", 90, 200)});
  EXPECT_EQ(nats.measure(), "validation loss, nats per token");
  ASSERT_EQ(nats.curves[0].size(), 2u);
  EXPECT_EQ(nats.curves[0][1].flops, 2000) << "from tokens, where the line has no FLOPs";
  EXPECT_EQ(nats.curves[0][1].loss, 2.5);
  const auto bits = *report::compute_curves({run_of("x", 90, 200), run_of("y", 50, 200)});
  EXPECT_EQ(bits.measure(), "validation loss, bits per byte");
  EXPECT_EQ(bits.curves[1][1].loss, 1.5);
}

TEST(ComputeCurves, TrainingLossWhereOneRunDidNotValidateTwice) {
  store::RunRecord once = run_of("y", 50, 200);
  once.metrics.erase(once.metrics.begin() + 1);
  const auto seen = *report::compute_curves({run_of("x", 100, 200), once});
  EXPECT_EQ(seen.measure(), "training loss, bits per byte");
  EXPECT_FALSE(seen.other_training_text);
  EXPECT_DOUBLE_EQ(seen.curves[0][1].loss, 2 * 0.5 / std::log(2));  // half a token a byte
  EXPECT_DOUBLE_EQ(seen.curves[1][1].loss, 2 * 0.25 / std::log(2));
  once.manifest["data"]["train"]["bytes"] = 300;
  EXPECT_TRUE(report::compute_curves({run_of("x", 100, 200), once})->other_training_text);
  once.manifest["data"].erase("train");
  EXPECT_THAT(report::compute_curves({run_of("x", 100, 200), once}).status().message(),
              HasSubstr("tokens and bytes"));
}

TEST(ComputeCurves, OtherValidationTextIsRefused) {
  store::RunRecord other = run_of("y", 50, 200);
  other.manifest["data"]["valid"]["bytes"] = 501;
  const base::Status status = report::compute_curves({run_of("x", 50, 200), other}).status();
  EXPECT_EQ(status.code(), base::Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("501 bytes in 1 documents"));
}

}  // namespace
}  // namespace belay::forecast
