// belay forecast loss: what it prints and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "run_belay.h"

namespace belay {
namespace {

using nlohmann::json;
using test::belay;
using test::Outcome;
using test::write;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kData = std::string(BELAY_TEST_DATA) + "/forecast/";

TEST(CliForecast, LossOfTheChinchillaPointsAsJson) {
  const Outcome out =
      belay("forecast loss " + kData +
            "chinchilla_fig4_extracted.csv --json --bootstrap 200 --budget 5.76e23");
  ASSERT_EQ(out.code, 0) << out.err;
  const json j = base::json_value(out.out);
  EXPECT_NEAR(j["E"]["value"].get<double>(), 1.817, 0.03);
  EXPECT_NEAR(j["a"]["value"].get<double>(), 0.513, 0.020);
  for (const char* name : {"E", "A", "B", "alpha", "beta", "a", "b"}) {
    EXPECT_LT(j[name]["low"].get<double>(), j[name]["value"].get<double>()) << name;
    EXPECT_GT(j[name]["high"].get<double>(), j[name]["value"].get<double>()) << name;
  }
  EXPECT_EQ(j["n_points"], 240);
  EXPECT_EQ(j["excluded"].size(), 5u);
  EXPECT_EQ(j["beaten_by"], "");
  EXPECT_LT(j["backtest"]["law"]["crps"].get<double>(),
            j["backtest"]["straight_line"]["crps"].get<double>());
  EXPECT_GE(j["isoflop"]["optima"].size(), 3u);
  ASSERT_EQ(j["budgets"].size(), 3u);
  // Chinchilla's compute: their 70 billion parameters are near the best by this law.
  EXPECT_NEAR(std::log(j["budgets"][2]["params"].get<double>() / 70e9), 0, 0.7);
}

TEST(CliForecast, TextHasIntervalsTheBackTestAndWhatTheNextComputeBrings) {
  const Outcome out = belay("forecast loss " + kData +
                            "gadre2024_c4_val.csv --where dataset=rpj --bootstrap 100 "
                            "--against-where dataset=rw_original");
  ASSERT_EQ(out.code, 0) << out.err;
  EXPECT_THAT(out.out, AllOf(HasSubstr("95 % of resamples"), HasSubstr("nothing changes"),
                             HasSubstr("The next 10 times of compute"),
                             HasSubstr("times smaller than the best"),
                             HasSubstr("dataset=rw_original needs")));
}

TEST(CliForecast, RefusesWhatHoldsNoLaw) {
  const test::TempDir dir;
  write(dir.file("few.csv"), "params,tokens,loss\n1e6,2e7,4\n2e6,4e7,3.7\n");
  write(dir.file("hole.csv"), "params,tokens,loss\n1e6,2e7,4\n2e6,,3.7\n");
  write(dir.file("no.csv"), std::string("\x7f"
                                        "ELF\0\1\2",
                                        7));
  const auto refused = [&](const std::string& args, int code, const std::string& message) {
    const Outcome out = belay("forecast loss " + args);
    EXPECT_EQ(out.code, code) << args;
    EXPECT_THAT(out.err, HasSubstr(message)) << args;
    EXPECT_EQ(out.out, "") << args;
  };
  refused(dir.file("few.csv"), 2, "too few points");
  refused(dir.file("hole.csv"), 1, "line 3, column 'tokens': is empty");
  refused(dir.file("no.csv"), 1, "is no text in UTF-8");
  refused(dir.file("none.csv"), 1, "none.csv");
  refused(kData + "gadre2024_c4_val.csv", 2, "choose: --where dataset=VALUE");
  refused(kData + "chinchilla_fig4_extracted.csv --bootstrap 3", 2, "--bootstrap");
  refused(kData + "chinchilla_fig4_extracted.csv --form cubic", 2, "auto, plain, repeats");
  EXPECT_EQ(belay("forecast").code, 2);
}

}  // namespace
}  // namespace belay
