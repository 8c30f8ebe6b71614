// The benches at a tiny shape: numbers that can be, memory as planned, documents that parse. What
// the numbers are is no matter of a test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "base/json.h"
#include "bench/report.h"
#include "train/step.h"

// There where the program that these tests are linked into is sanitized.
extern "C" void __attribute__((weak)) __asan_init();
extern "C" void __attribute__((weak)) __tsan_init();

namespace belay::bench {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// Sanitizers keep a shadow of all memory, and ThreadSanitizer cannot see into oneDNN's OpenMP.
const bool kRoofline = __tsan_init == nullptr;
const bool kPlainMemory = kRoofline && __asan_init == nullptr;

constexpr Repeats kQuick{.most = 2, .seconds = 0.1};

class Bench : public ::testing::TestWithParam<tensor::DType> {
 protected:
  base::ThreadPool pool_{2};
  base::Context ctx_{pool_};
  const TrainShape tiny_ = make_shape("tiny", {2, 128, 2, 256, 4096, 4, 128});
  const Machine machine_{std::string(base::isa_name(ctx_.isa)),
                         std::string(tensor::dtype_name(GetParam())), 2};

  TrainBenchOptions options() const {
    return {.dtype = GetParam(), .steps = 3, .roofline = kRoofline, .repeats = kQuick};
  }
  TrainResult train(const TrainBenchOptions& o) {
    return *bench_train(ctx_, base::Env::posix(), tiny_, o);
  }
};

/// Every number of a document, however deep.
void expect_finite(const json& j, const std::string& where) {
  if (j.is_number()) {
    EXPECT_TRUE(std::isfinite(j.get<double>())) << where;
  }
  if (!j.is_structured()) return;
  for (const auto& [key, value] : j.items()) expect_finite(value, where + "." + key);
}

TEST_P(Bench, TrainMeasuresWhatItSays) {
  TrainBenchOptions o = options();
  o.repeats = {.most = 20, .seconds = 1};  // so that a busy machine is seen at its best once
  const TrainResult r = train(o);
  EXPECT_GT(r.best_step_seconds, 0);
  EXPECT_LE(r.best_step_seconds, r.step_seconds);
  EXPECT_LE(r.step_interval.low, r.step_interval.high);
  EXPECT_LT(r.optimizer_seconds, r.step_seconds);
  EXPECT_DOUBLE_EQ(r.tokens_per_second, 512 / r.step_seconds);
  EXPECT_NEAR(r.final_loss, std::log(4096), 0.5);
  if (r.product_flops) {
    EXPECT_GT(*r.mfu, 0);
    EXPECT_LT(*r.mfu, 1.2);
    EXPECT_GT(*r.products_bound, 0);
  }
  double rows = 0;
  for (const tensor::ProfileRow& row : r.rows) rows += row.seconds;
  EXPECT_LE(rows, r.profiled_seconds);
  EXPECT_GT(rows, 0.5 * r.profiled_seconds);
}

TEST_P(Bench, MemoryIsAsPlanned) {
  for (const bool muon : {false, true}) {
    TrainBenchOptions o = options();
    o.muon = muon;
    o.roofline = false;
    malloc_trim(0);  // what earlier tests freed and the heap kept would not be counted
    const TrainResult r = train(o);
    EXPECT_GT(r.planned_bytes, r.n_params * (GetParam() == tensor::DType::kBF16 ? 18 : 22));
    if (!kPlainMemory || r.resident_bytes == 0) continue;
    const auto planned = static_cast<double>(r.planned_bytes);
    EXPECT_NEAR(static_cast<double>(r.resident_bytes), planned, 0.05 * planned + 30e6);
  }
}

TEST_P(Bench, TrainReportsParseAndHoldTheFields) {
  TrainBenchOptions o = options();
  o.checkpoint = true;
  const TrainResult r = train(o);
  const json j = base::json_value(train_json(machine_, tiny_, o, r).dump());
  for (const char* field : {"tokens_per_second", "steps_per_second", "mfu", "step_seconds",
                            "peak_rss_bytes", "planned_bytes", "params", "flops_per_token",
                            "product_flops", "product_flops_best", "products_bound", "operations",
                            "optimizer_ms", "machine", "isa", "threads", "versions", "loss"}) {
    EXPECT_TRUE(j.contains(field)) << field;
  }
  expect_finite(j, "");
  EXPECT_EQ(j["params"], tiny_.config.n_params());
  EXPECT_EQ(j["operations"][0].size(), 6);
  EXPECT_GT(j["step_seconds"]["median"].get<double>(), 0);
  EXPECT_EQ(j["mfu"].is_null(), !r.product_flops);
  EXPECT_THAT(train_text(machine_, tiny_, o, r), HasSubstr("linear backward"));
}

TEST_P(Bench, WithoutOneDnnTheReportSaysSo) {
  TrainBenchOptions o = options();
  o.roofline = false;
  o.steps = 1;
  const TrainResult r = train(o);
  const json j = base::json_value(train_json(machine_, tiny_, o, r).dump());
  for (const char* field : {"product_flops", "mfu", "products_bound"}) {
    EXPECT_TRUE(j[field].is_null()) << field;
  }
  EXPECT_TRUE(j["versions"]["oneDNN"].is_null());
  EXPECT_THAT(train_text(machine_, tiny_, o, r), HasSubstr("oneDNN was not measured"));
}

TEST_P(Bench, ProductsOfAStepAddUpToItsFlops) {
  const model::Model model(tiny_.config, GetParam(), true, tiny_.context);
  train::Step step(ctx_, model, {.n_tokens = 512, .longest = 128});
  double flops = 0;
  for (const StepProduct& p : products_of(step.exec().tape(), 4096)) {
    flops += p.matmul().flops() * static_cast<double>(p.calls);
  }
  const double matrices = 2 * (384 * 128 + 128 * 128 + 512 * 128 + 128 * 256) + 4096 * 128;
  EXPECT_EQ(flops, 6 * matrices * 512);
}

TEST_P(Bench, OpsCompareWithTheRoofline) {
  const OpBenchOptions all{
      .dtype = GetParam(), .roofline = kRoofline, .repeats = kQuick, .read_bytes = 32 << 20};
  const OpBenchResult r = *bench_ops(ctx_, tiny_, all);
  EXPECT_GT(r.read_bandwidth, 1e8);
  EXPECT_GE(r.operations.size(), 20u);
  EXPECT_EQ(r.products.size(), 15u);
  const json j = base::json_value(ops_json(machine_, tiny_, r).dump());
  expect_finite(j, "");
  for (const json& row : j["operations"]) {
    EXPECT_GT(row["ms"].get<double>(), 0) << row;
    if (r.product_flops) {
      EXPECT_GT(row["roofline"].get<double>(), 0) << row;
    }
  }
  EXPECT_THAT(ops_text(machine_, tiny_, r), HasSubstr("rmsnorm backward"));

  OpBenchOptions some = all;
  some.filter = "swiglu";
  const OpBenchResult few = *bench_ops(ctx_, tiny_, some);
  ASSERT_EQ(few.operations.size(), 2u);
  EXPECT_TRUE(few.products.empty());
  some.filter = "swigul";
  EXPECT_THAT(bench_ops(ctx_, tiny_, some).status().message(), HasSubstr("did you mean swiglu?"));
}

INSTANTIATE_TEST_SUITE_P(DTypes, Bench,
                         ::testing::Values(tensor::DType::kF32, tensor::DType::kBF16),
                         [](const auto& of) { return std::string(tensor::dtype_name(of.param)); });

TEST(BenchShapes, AreThoseOfThePeers) {
  const auto params = [](const char* name) {
    return static_cast<double>((*find_shape(name))->config.n_params());
  };
  EXPECT_NEAR(params("nano") / 804096, 1, 0.005);
  EXPECT_NEAR(params("llmc-124M") / 124475904, 1, 0.02);
  EXPECT_EQ(params("llmc-14M"), params("S"));
  EXPECT_EQ((*find_shape("llmc-14M"))->n_tokens(), 256);
}

TEST(BenchShapes, AnUnknownNameGetsTheNearest) {
  EXPECT_THAT(find_shape("llmc-14m").status().message(), HasSubstr("did you mean llmc-14M?"));
  EXPECT_THAT(find_shape("enormous").status().message(), Not(HasSubstr("did you mean")));
  EXPECT_THAT(find_shape("enormous").status().message(), HasSubstr("S, M, nano"));
}

TEST(BenchShapes, OneThatDoesNotFitIsRefused) {
  base::ThreadPool pool(1);
  base::Context ctx{pool};
  const TrainShape huge = make_shape("huge", {64, 8192, 64, 32768, 64000, 1, 64});
  const auto result = bench_train(ctx, base::Env::posix(), huge, {.roofline = false});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message(), HasSubstr("does not fit in memory"));
}

}  // namespace
}  // namespace belay::bench
