// The report of a climb: its law and curves, what its page says, and that nothing hostile gets in.
#include "report/climb_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "climb_example.h"
#include "fault_env.h"
#include "report/climb_sections.h"
#include "report/climb_series.h"
#include "report/html.h"
#include "run_belay.h"

namespace belay {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using test::env;
using test::read;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// The page of a climb.json of that text.
std::string report_of(const std::string& text) {
  const test::TempDir dir;
  std::ofstream(dir.file("climb.json"), std::ios::binary) << text;
  const base::Status written = report::write_climb_report(env(), dir.path() + "/");
  EXPECT_TRUE(written.ok()) << written.message();
  return read(dir.file("report.html"));
}
std::string report_of(const json& document) { return report_of(document.dump()); }

std::string sections_of(const json& document) {
  return report::climb_sections(report::climb_of("c", document), 1.8e9);
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

/// Where the parts begin, which must all be there.
std::vector<std::size_t> places(const std::string& text, const std::vector<std::string>& parts) {
  std::vector<std::size_t> found;
  for (const std::string& part : parts) {
    found.push_back(text.find(part));
    EXPECT_NE(found.back(), std::string::npos) << part;
  }
  return found;
}

TEST(ClimbLaw, CountsRepeatedTokensLess) {
  const forecast::LossLaw plain{.E = 1, .A = 10, .B = 20, .alpha = 0.5, .beta = 0.25, .r_star = {}};
  forecast::LossLaw repeats = plain;
  repeats.r_star = 15;
  EXPECT_DOUBLE_EQ(report::Surface(plain, 0, {}).loss(1e4, 1e8), 1 + 10 / 1e2 + 20 / 1e2);
  const report::Surface surface(repeats, 1e8, {});
  EXPECT_DOUBLE_EQ(surface.loss(1e4, 1e8), 1.3);  // nothing is repeated
  // Four epochs: U + U 15 (1 - exp(-3 / 15)).
  const double effective = 1e8 + 15e8 * (1 - std::exp(-0.2));
  EXPECT_NEAR(surface.loss(1e4, 4e8), 1.1 + 20 * std::pow(effective, -0.25), 1e-12);
  EXPECT_GT(surface.loss(1e4, 4e8), 1.1 + 20 * std::pow(4e8, -0.25));
}

TEST(ClimbLaw, TheBestSizeIsThatOfTheClosedForm) {
  const forecast::LossLaw law{
      .E = 1.7, .A = 400, .B = 410, .alpha = 0.34, .beta = 0.28, .r_star = {}};
  const report::Surface surface(law, 0, {{1e6, 6}, {1e9, 6}});
  for (const double flops : {1e15, 1e18, 1e21}) {
    // N = G (C / 6)^a, G = (alpha A / (beta B))^(1 / (alpha + beta)), a = beta / (alpha + beta).
    const double sum = law.alpha + law.beta;
    const double n = std::pow(law.alpha * law.A / (law.beta * law.B), 1 / sum) *
                     std::pow(flops / 6, law.beta / sum);
    const forecast::Optimum best = surface.optimum(flops);
    EXPECT_NEAR(best.n_params / n, 1, 1e-5);
    EXPECT_NEAR(best.n_params * best.n_tokens * 6 / flops, 1, 1e-9);
    EXPECT_NEAR(best.loss, law.loss(n, flops / 6 / n), 1e-9);
  }
  // Costs are interpolated between sizes and stay beyond them.
  const report::Surface uneven(law, 0, {{1e6, 6}, {1e2, 10}});
  EXPECT_DOUBLE_EQ(uneven.tokens_for(80, 1e4), 80 / (8 * 1e4));
  EXPECT_DOUBLE_EQ(uneven.tokens_for(80, 1), 8);
  EXPECT_DOUBLE_EQ(uneven.tokens_for(60, 1e7), 1e-6);
}

TEST(ClimbSeries, HoldsPointsCurvesAndTheForecast) {
  const json document = test::climb_example();
  const report::Climb climb = report::climb_of("c", document);
  const ordered_json series = report::climb_series(climb);
  EXPECT_EQ(series["rungs"].size(), document["rungs"].size());
  EXPECT_EQ(series["sizes"].size(), 7u);
  ASSERT_EQ(series["rows"].size(), 5u);
  for (const ordered_json& row : series["rows"]) {
    const double best = row["best"][1];
    for (const ordered_json& point : row["curve"]) EXPECT_GE(point[1], best - 1e-5);
  }
  // A curve passes where the law puts the rungs of its row, whatever their FLOPs a token.
  const ordered_json& rung = series["rungs"][0];
  EXPECT_NEAR(climb.law->loss_at(rung["c"], rung["n"]), rung["law"], 1e-4);
  EXPECT_EQ(count(series.dump(), "\"excluded\":true"), 1u);
  EXPECT_EQ(series["known"], 2e14);  // the next rung was measured
  EXPECT_EQ(series["frontier"].back()[0], 2e15);
  for (std::size_t i = 1; i < series["frontier"].size(); ++i) {
    EXPECT_LE(series["frontier"][i][1], series["frontier"][i - 1][1]);
  }
  EXPECT_TRUE(series["next"]["loss"].is_number());
  const ordered_json before =
      report::climb_series(report::climb_of("c", test::climb_example(false)));
  EXPECT_TRUE(before["next"]["loss"].is_null());
  EXPECT_EQ(before["known"], 2.025e13);
  EXPECT_EQ(before["frontier"].back()[0], 2e15);  // ten times the next rung
}

TEST(ClimbReport, SaysWhatMattersInOrderAndLoadsNothing) {
  const std::string html = report_of(test::climb_example());
  const std::vector<std::size_t> found = places(
      html, {"Predicted <b>", "measured <b>", "<canvas id=\"compute\"", "<canvas id=\"sizes\"",
             "<canvas id=\"tokens\"", "Watch it learn to write", "The rungs</h2>", "diverged?",
             "Time, money and compute", "What ten times the compute would bring",
             "How good such forecasts", "within 0.62 %", "The forecast of the next rung weighs two",
             "3f9c1d2ab07e4415", "The words</h2>", "IsoFLOP</dt>", "What this climb is",
             "default-src 'none'", "Chart.js v3.9.1"});
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end() - 2));
  for (const char* loads :
       {"src=\"", "href=\"http", "@import", "url(", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(html, Not(HasSubstr(loads))) << loads;
  }
  EXPECT_EQ(count(html, "</script>"), 3u);
}

/// The lead of a climb with these numbers.
std::string lead(double median, double measured, double no_change, double line, json more = {}) {
  json outcome = {{"val_loss", measured}};
  if (more.is_object()) outcome.update(more);
  const json document = {{"next",
                          {{"forecast",
                            {{"median", median},
                             {"low80", median - 0.02},
                             {"high80", median + 0.03},
                             {"no_change", no_change},
                             {"straight_line", line}}},
                           {"outcome", outcome}}}};
  return report::climb_header(report::climb_of("c", document));
}

TEST(ClimbReport, TheHeadlineIsTheVerdict) {
  const std::string good = lead(2.87, 2.88, 3.05, 2.8);
  EXPECT_THAT(good,
              HasSubstr("Predicted <b>2.870</b> nats a token (80 %: 2.850 to 2.900); measured "
                        "<b>2.880</b>: inside, 0.3 % off. It beat both simple baselines: "
                        "&ldquo;no change&rdquo; said 3.050, 5.9 % off; &ldquo;straight "
                        "line&rdquo; said 2.800, 2.8 % off."));
  EXPECT_THAT(lead(2.87, 2.95, 3.05, 2.8), HasSubstr("<b>outside</b>, 2.7 % off"));
  // A lost comparison comes first.
  const std::string lost = lead(2.87, 2.88, 3.05, 2.881);
  const auto order =
      places(lost, {"did better", "straight line&rdquo; said 2.881, 0.0 % off", "Predicted"});
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_THAT(lost, Not(HasSubstr("It beat")));
  const json scores = {{"crps", 0.02}, {"crps_no_change", 0.17}, {"crps_straight_line", 0.01}};
  EXPECT_THAT(lead(2.87, 2.88, 3.05, 2.8, scores),
              HasSubstr("no nearer, but better scored: CRPS 0.0100 against 0.0200"));
  const json rungs = {{"plan", {{"rungs", {{{"name", "a"}}, {{"name", "b"}}}}}},
                      {"rungs", {{{"name", "a"}, {"val_loss", 3.0}}}},
                      {"status", "running"}};
  EXPECT_THAT(report::climb_header(report::climb_of("c", rungs)),
              AllOf(HasSubstr("1 of 2 rungs are trained"), HasSubstr("Still climbing")));
  EXPECT_THAT(sections_of(test::climb_example(false)), HasSubstr("still to come"));
}

TEST(ClimbReport, TableAndCostAreComputedFromTheRungs) {
  const json rung = {{"name", "a"},     {"params", 1e6},   {"tokens", 2e6},  {"flops", 1.2e13},
                     {"seconds", 90.0}, {"val_loss", 2.0}, {"val_bpb", 2.5}, {"row", 0}};
  json document = {{"rungs", {rung, rung}},
                   {"plan",
                    {{"rungs", {{{"seconds", 100}, {"flops", 1.2e13}}, {{"seconds", 100}}}},
                     {"price_per_hour", 36}}}};
  document["fit"] = {
      {"E", {{"value", 1.6}}},    {"A", {{"value", 100}}},
      {"B", {{"value", 200}}},    {"alpha", {{"value", 0.5}}},
      {"beta", {{"value", 0.5}}}, {"excluded", {{{"name", "a"}, {"reason", "why <not>"}}}}};
  const double law = 1.6 + 100 / std::sqrt(1e6) + 200 / std::sqrt(2e6);
  const std::string html = sections_of(document);
  EXPECT_THAT(
      html, HasSubstr(fmt::format("<td>2.0000</td><td>2.5000</td><td>{:.4f}</td><td>{:+.2f} %</td>",
                                  law, 100 * (2 / law - 1))));
  EXPECT_THAT(html, HasSubstr("left out: why &lt;not&gt;"));
  // 200 seconds were planned, 180 measured; 36 an hour is a cent a second.
  EXPECT_THAT(html, HasSubstr("<td>The ladder</td><td>3m20s</td><td>3m00s</td><td>-10.0 %</td>"
                              "<td>12.0T</td><td>24.0T</td><td>2.00</td><td>1.80</td>"));
}

TEST(ClimbReport, NothingFromTheClimbBecomesMarkup) {
  const std::string evil =
      "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"@BODY@";
  json document = test::climb_example();
  // Every text that there is, and every name of an option.
  const auto spoil = [&](const auto& self, json& node) -> void {
    if (node.is_string()) node = evil;
    if (node.is_structured()) {
      for (json& one : node) self(self, one);
    }
  };
  spoil(spoil, document);
  document["options"][evil] = evil;
  document["fit"]["form"] = evil;
  document["rungs"][2]["excluded"] = evil;
  const std::string html = report_of(document);
  EXPECT_THAT(html, AllOf(Not(HasSubstr("alert(1)</script>")), Not(HasSubstr("<img"))));
  EXPECT_THAT(html, HasSubstr("&lt;img src=x"));
  EXPECT_EQ(count(html, "</script>"), 3u);
  // Bytes that are no text are refused by name, as JSON has none, and do not reach a page.
  const test::TempDir dir;
  std::ofstream(dir.file("climb.json")) << "{\"status\": \"\xFF\"}";
  EXPECT_THAT(report::write_climb_report(env(), dir.path()).message(), HasSubstr("climb.json"));
  // A climb that was made in memory is repaired.
  json broken = test::climb_example();
  broken["rungs"][0]["name"] = "\xFF<";
  broken["rungs"][0]["sample"]["text"] = "\xC0\xAF";
  const report::Climb climb = report::climb_of("\xFF", broken);
  EXPECT_THAT(report::climb_sections(climb, 1.8e9), HasSubstr("\xEF\xBF\xBD&lt;"));
  EXPECT_EQ(report::script_json(report::climb_series(climb)).find_first_of("<>&\xFF"),
            std::string::npos);
}

TEST(ClimbReport, OfAnythingThatMayBeMissingOrNonsense) {
  EXPECT_THAT(report_of(json::object()), HasSubstr("0 rungs are trained"));
  const json whole = test::climb_example();
  const json values = {nullptr,
                       true,
                       -1,
                       0,
                       1e300,
                       -1e300,
                       "text",
                       json::array(),
                       json::object(),
                       json::array({nullptr, 7, json::array({1})})};
  // Each part in turn is missing or of each wrong kind, on three floors.
  int n_pages = 0;
  const auto vary = [&](const auto& self, json& document, json& node, int floors) -> void {
    if (floors == 0 || !node.is_structured() || node.empty()) return;
    std::size_t left = node.is_array() ? 2 : node.size();
    for (json& one : node) {
      if (left-- == 0) return;
      json kept = one;
      for (const json& value : values) {
        one = value;
        EXPECT_THAT(sections_of(document), HasSubstr("</footer>"));
        report::script_json(report::climb_series(report::climb_of("c", document)));
        ++n_pages;
      }
      one = kept;
      self(self, document, one, floors - 1);
    }
  };
  json document = whole;
  for (const char* heavy : {"options", "machine", "data", "command"}) document.erase(heavy);
  document["rungs"] = {whole["rungs"][0], whole["rungs"][7]};
  document["plan"]["rungs"] = {whole["plan"]["rungs"][0]};
  vary(vary, document, document, 3);
  EXPECT_GT(n_pages, 500);
  EXPECT_EQ(document["rungs"][0], whole["rungs"][0]);
}

TEST(ClimbReport, CutsHugeListsAndSaysSo) {
  json document = test::climb_example();
  const json rung = document["rungs"][0];
  for (int i = 0; i < 5000; ++i) {
    document["rungs"].push_back(rung);
    document["rungs"].back()["row"] = i;
    document["rungs"].back()["params"] = 1000.0 * (i + 1);
  }
  document["rungs"][0]["sample"]["text"] = std::string(100'000, 'x');
  const std::string html = report_of(document);
  const std::size_t n = document["rungs"].size();
  EXPECT_THAT(html, HasSubstr(fmt::format("{} more are in climb.json", n - 200)));
  EXPECT_LT(html.size(), 2'000'000u);
  const ordered_json series = report::climb_series(report::climb_of("c", document));
  EXPECT_LE(series["rungs"].size(), 2000u);
  EXPECT_LE(series["rows"].size(), 16u);
  EXPECT_LE(series["lines"].size(), 16u);
}

TEST(ClimbReport, RefusesWhatIsNoClimbAndKeepsTheOldPage) {
  const test::TempDir dir;
  EXPECT_EQ(report::write_climb_report(env(), dir.path()).code(), base::Code::kNotFound);
  std::ofstream(dir.file("climb.json")) << "[]";
  EXPECT_EQ(report::write_climb_report(env(), dir.path()).code(), base::Code::kCorrupt);
  std::ofstream(dir.file("climb.json")) << test::climb_example();
  ASSERT_TRUE(report::write_climb_report(env(), dir.path()).ok());
  const std::string old = read(dir.file("report.html"));
  test::FaultEnv faulty;
  for (std::int64_t from = 0; from < 4; ++from) {
    faulty.changes = 0;
    faulty.fail_from = from;
    EXPECT_FALSE(report::write_climb_report(faulty, dir.path()).ok());
    EXPECT_EQ(read(dir.file("report.html")), old);
  }
}

}  // namespace
}  // namespace belay
