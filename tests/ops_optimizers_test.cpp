// AdamW and Muon against three steps in float64 (tests/oracle/optimizers.py).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "ops/adamw.h"
#include "ops/muon.h"
#include "ops_table.h"

namespace belay::test {
namespace {

using nlohmann::json;

// Relative to the largest number of the array. AdamW: a few roundings. Muon: its products amplify
// rounding, by up to 3.4445^5 = 485 in directions that hold nothing else (low rank).
constexpr double kAdamw = 1e-6, kMuon = 1e-5, kLowRank = 1e-3;

std::vector<float> floats(const json& list) {
  std::vector<float> v;
  for (const json& x : list) v.push_back(static_cast<float>(x.get<double>()));
  return v;
}

/// Largest difference from the numbers of the oracle, relative to its largest
/// number.
double distance(const std::vector<float>& seen, const json& expected) {
  double most = 1e-30, apart = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const double e = expected[i];
    most = std::max(most, std::abs(e));
    apart = std::max(apart, std::abs(static_cast<double>(seen[i]) - e));
  }
  return apart / most;
}

void check_adamw(base::Context& ctx, const json& c) {
  std::vector<float> w = floats(c["weights"]), m(w.size()), v(w.size());
  for (std::size_t s = 0; s < c["gradients"].size(); ++s) {
    const std::vector<float> g = floats(c["gradients"][s]);
    const auto n = static_cast<std::int64_t>(w.size());
    const ops::AdamwTensor tensor{w.data(), g.data(), m.data(), v.data(), n, c["weight_decay"]};
    ops::adamw_step(ctx, {&tensor, 1},
                    {.lr = c["lr"],
                     .beta1 = c["beta1"],
                     .beta2 = c["beta2"],
                     .eps = c["eps"],
                     .step = static_cast<std::int64_t>(s) + 1});
    EXPECT_LE(distance(w, c["after"][s]["weights"]), kAdamw) << "step " << s;
    EXPECT_LE(distance(m, c["after"][s]["m"]), kAdamw) << "step " << s;
    EXPECT_LE(distance(v, c["after"][s]["v"]), kAdamw) << "step " << s;
  }
}

void check_muon(base::Context& ctx, const json& c) {
  const std::string name = c["name"];
  const double allowed = name == "muon_low_rank" ? kLowRank : kMuon;
  const std::int64_t rows = c["rows"], columns = c["cols"];
  std::vector<float> w = floats(c["weights"]), buffer(w.size());
  std::vector<std::byte> scratch(
      static_cast<std::size_t>(ops::muon_scratch(rows, columns, DType::kF32)));
  for (std::size_t s = 0; s < c["gradients"].size(); ++s) {
    const std::vector<float> g = floats(c["gradients"][s]);
    ops::muon_step(ctx, w.data(), g.data(), buffer.data(), rows, columns,
                   {.lr = c["lr"], .momentum = c["momentum"], .decay = c["weight_decay"]},
                   scratch.data());
    EXPECT_LE(distance(w, c["after"][s]["weights"]), allowed) << "step " << s;
    EXPECT_LE(distance(buffer, c["after"][s]["buffer"]), kAdamw) << "step " << s;
  }
}

TEST(Optimizers, ThreeStepsFollowTheOracle) {
  std::ifstream in(BELAY_TEST_DATA "/optimizers.json");
  const json cases = json::parse(in)["cases"];
  EXPECT_GE(cases.size(), 12u);
  for (const base::Isa isa : base::supported_isas()) {
    base::Context ctx{pool_of(2), isa};
    for (const json& c : cases) {
      SCOPED_TRACE(c["name"].get<std::string>() + ", " + std::string(base::isa_name(isa)));
      if (c["optimizer"] == "adamw") {
        check_adamw(ctx, c);
      } else {
        check_muon(ctx, c);
      }
    }
  }
}

}  // namespace
}  // namespace belay::test
