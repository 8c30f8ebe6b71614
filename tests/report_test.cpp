// Reports of runs: what is read from a run folder, what is escaped, what the page shows; the index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json.h"
#include "fault_env.h"
#include "report/html.h"
#include "report/run_report.h"
#include "report/sections.h"
#include "report/series.h"
#include "run_belay.h"
#include "store/run_index.h"
#include "store/run_record.h"

namespace belay {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using test::env;
using test::read;
using test::write;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

json train_line(int step, double loss) {
  return {{"step", step},
          {"tokens", step * 100},
          {"flops", step * 1e6},
          {"seconds", step * 0.5},
          {"loss", loss},
          {"lr", 0.01},
          {"grad_norm", 1.0 / step},
          {"tokens_per_second", 200.0}};
}

/// A run folder with the manifest and lines that a test wants.
class RunFolder {
 public:
  explicit RunFolder(const std::string& name) : path_(dir_.file(name)) {
    std::filesystem::create_directory(path_);
    manifest = {{"kind", "pretrain"},
                {"status", "done"},
                {"started", 1.7e9},
                {"version", "0.1.0"},
                {"model", {{"parameters", 1000000}, {"flops_per_token", 1e4}}},
                {"data", {{"name", "books"}}},
                {"options", {{"depth", 2}, {"lr", "0.01"}}},
                {"val_loss", 1.5},
                {"val_bpb", 2.16}};
  }
  const std::string& write_files() {
    write(path_ + "/run.json", manifest.dump());
    std::string text;
    for (const json& line : lines) text += line.dump() + "\n";
    write(path_ + "/metrics.jsonl", text + tail);
    return path_;
  }
  std::string report() {
    const base::Status written = report::write_run_report(env(), write_files());
    EXPECT_TRUE(written.ok()) << written.message();
    return read(path_ + "/report.html");
  }

  json manifest;
  std::vector<json> lines;
  std::string tail;

 private:
  test::TempDir dir_;
  std::string path_;
};

TEST(Html, EscapesWhatCouldBecomeMarkup) {
  EXPECT_EQ(report::escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(report::escape("caf\xC3\xA9 \xF0\x9F\x8C\xB2"), "caf\xC3\xA9 \xF0\x9F\x8C\xB2");
  // A lone byte, a surrogate, an overlong form, a control character.
  EXPECT_EQ(
      report::escape("\xFF|\xED\xA0\x80|\xC0\xAF|\x1B"),
      "\xEF\xBF\xBD|\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD|\xEF\xBF\xBD\xEF\xBF\xBD|\xEF\xBF\xBD");
  const ordered_json hostile = {{"x", "</script><!--\xE2\x80\xA8"}, {"y", "\xFF"}};
  const std::string text = report::script_json(hostile);
  EXPECT_THAT(text, AllOf(Not(HasSubstr("<")), Not(HasSubstr(">")), Not(HasSubstr("\xE2"))));
  EXPECT_EQ(base::json_value(text)["x"], "</script><!--\xE2\x80\xA8");
}

TEST(RunRecord, ARewoundRunReplacesItsLinesAndATornLineIsCounted) {
  RunFolder run("r");
  for (int step : {1, 2, 3, 4}) run.lines.push_back(train_line(step, 5));
  run.lines.push_back({{"step", 4}, {"val_loss", 2}});
  for (int step : {3, 4, 5}) run.lines.push_back(train_line(step, 1));  // resumed from step 2
  run.lines.push_back(train_line(5, 0.5));                              // and from step 4
  run.tail = "{\"step\": 6, \"lo";
  const auto record = store::read_run(env(), run.write_files());
  ASSERT_TRUE(record.ok()) << record.status().message();
  std::vector<std::pair<double, double>> seen;
  for (const json& line : record->metrics) seen.emplace_back(line["step"], line.value("loss", 0.0));
  EXPECT_EQ(seen,
            (std::vector<std::pair<double, double>>{{1, 5}, {2, 5}, {3, 1}, {4, 1}, {5, 0.5}}));
  EXPECT_EQ(record->unreadable_lines, 1);
  EXPECT_EQ(record->name, "r");
}

TEST(RunRecord, RefusesWhatIsNoRun) {
  const test::TempDir dir;
  EXPECT_EQ(store::read_run(env(), dir.path()).status().code(), base::Code::kNotFound);
  write(dir.file("run.json"), "[1, 2]");
  EXPECT_EQ(store::read_run(env(), dir.path()).status().code(), base::Code::kCorrupt);
  write(dir.file("run.json"), "{\"a\": 1");
  EXPECT_THAT(store::read_run(env(), dir.path()).status().message(), HasSubstr("run.json"));
}

TEST(Series, PutsNeighboursTogetherAndCompletesValidations) {
  store::RunRecord run;
  for (int step = 1; step <= 100; ++step) {
    run.metrics.push_back(train_line(step, step));
    if (step % 50 == 0) {
      run.metrics.push_back({{"step", step}, {"tokens", step * 100}, {"val_loss", 3.25}});
    }
  }
  const ordered_json series = report::series_of(run, 10);
  EXPECT_EQ(series["train"]["loss"][0], 5.5);  // the mean of 1 to 10
  EXPECT_EQ(series["train"]["tokens"][0], 1000);
  EXPECT_EQ(series["train"]["seconds"].back(), 50);
  EXPECT_EQ(series["train"]["loss"].size(), 10u);
  EXPECT_EQ(series["valid"]["val_loss"], ordered_json({3.25, 3.25}));
  EXPECT_EQ(series["valid"]["seconds"], ordered_json({25, 50}));  // of the line before
  EXPECT_TRUE(series["valid"]["val_bpb"][0].is_null());
  EXPECT_EQ(report::series_of(store::RunRecord{}, 10)["train"]["loss"].size(), 0u);
}

TEST(RunReport, HoldsCurvesFiguresSamplesAndPlanAndLoadsNothing) {
  RunFolder run("first");
  for (int step = 1; step <= 40; ++step) run.lines.push_back(train_line(step, 5.0 / step));
  run.lines.push_back({{"step", 40}, {"tokens", 4000}, {"prompt", "It was"}, {"sample", " late"}});
  run.lines.push_back({{"step", 40}, {"tokens", 4000}, {"val_loss", 1.5}, {"val_bpb", 2.16}});
  run.manifest["plan"] = {{"memory_bytes", 104857600}, {"tokens_per_second", 210}};
  run.manifest["measured"] = {{"memory_bytes", 106954752}, {"tokens_per_second", 200}};
  run.manifest["bigram_bpb"] = 3.5;
  run.manifest["command"] = {"belay", "pretrain", "--out", "a b"};
  const std::string html = run.report();
  for (const char* part :
       {"<title>first &middot; Belay</title>", "2.1600", "4.00k", "<b>It was</b> late", "100 MiB",
        "102 MiB", "+2.0 %", "-4.8 %", "bigram", "2023-11-14 22:13 UTC",
        "<code>belay pretrain --out &#39;a b&#39;</code>", "Chart.js v3.9.1",
        "<code>--depth</code>"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* loads :
       {"src=\"", "href=\"http", "@import", "url(", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(html, Not(HasSubstr(loads))) << loads;
  }
}

TEST(RunReport, NothingFromTheRunBecomesMarkup) {
  const std::string evil =
      "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"@BODY@";
  RunFolder run("evil");
  run.lines.push_back(train_line(1, 3));
  run.lines.push_back(
      {{"step", 1}, {"prompt", evil}, {"sample", evil}, {"event", evil}, {"message", evil}});
  for (const char* field : {"status", "version", "error", "seed", "parent", "kind"}) {
    run.manifest[field] = evil;
  }
  run.manifest["data"] = {{"name", evil}, {evil, evil}};
  run.manifest["model"][evil] = evil;
  run.manifest["machine"] = {{evil, evil}};
  run.manifest["options"] = {{evil, evil}};
  run.manifest["command"] = {evil};
  const std::string html = run.report();
  EXPECT_THAT(html, AllOf(Not(HasSubstr("alert(1)</script>")), Not(HasSubstr("<img"))));
  EXPECT_THAT(html, HasSubstr("&lt;img src=x"));
  // Both scripts of the page, Chart.js and the data: nothing else began or ended one.
  std::size_t n_scripts = 0;
  for (std::size_t at = 0; (at = html.find("</script>", at)) != std::string::npos; ++at)
    ++n_scripts;
  EXPECT_EQ(n_scripts, 3u);
}

TEST(RunReport, OfARunThatHasJustBegunOrHoldsNonsense) {
  RunFolder bare("bare");
  bare.manifest = json::object();
  EXPECT_THAT(bare.report(), HasSubstr("</html>"));
  RunFolder odd("odd");
  odd.manifest["started"] = 1e300;
  odd.manifest["plan"] = {{"memory_bytes", -5}, {"seconds", "soon"}, {"tokens", 1e300}};
  odd.manifest["model"] = 7;
  odd.lines.push_back({{"step", -1e300}, {"loss", 1e300}, {"tokens", "many"}});
  odd.lines.push_back({{"val_loss", 0}});
  odd.lines.push_back({{"val_loss", -1}, {"val_bpb", 1e-300}});
  odd.tail = "null\n17\n[]\n{\"loss\": 1e999}\n";
  EXPECT_THAT(odd.report(), HasSubstr("4 lines of metrics.jsonl could not be read"));
}

TEST(RunReport, AFaultLeavesTheOldReport) {
  RunFolder run("r");
  const std::string old = run.report();
  test::FaultEnv faulty;
  const std::string folder = run.write_files();
  for (std::int64_t from = 0; from < 4; ++from) {
    faulty.changes = 0;
    faulty.fail_from = from;
    EXPECT_FALSE(report::write_run_report(faulty, folder).ok());
    EXPECT_EQ(read(folder + "/report.html"), old);
  }
}

/// The rows that a query gives, columns parted by "|".
std::vector<std::string> query(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::vector<std::string> rows;
  const auto add = [](void* to, int n, char** values, char**) {
    std::string row;
    for (int i = 0; i < n; ++i)
      row += (i > 0 ? "|" : "") + std::string(values[i] ? values[i] : "-");
    static_cast<std::vector<std::string>*>(to)->push_back(row);
    return 0;
  };
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), add, &rows, nullptr), SQLITE_OK);
  sqlite3_close(database);
  return rows;
}

TEST(RunIndex, IsMadeAnewFromTheFolders) {
  const test::TempDir dir;
  for (const std::string name : {"b", "a", "broken"})
    std::filesystem::create_directory(dir.file(name));
  std::filesystem::create_directory(dir.file("no_run"));
  write(dir.file("a/run.json"), R"({"kind": "pretrain", "status": "running", "val_loss": 9,
                                    "model": {"parameters": 5}, "data": {"name": "x'); DROP"}})");
  write(dir.file("a/metrics.jsonl"), train_line(4, 2.5).dump() + "\n");
  write(dir.file("b/run.json"),
        R"({"status": "done", "loss": 1.25, "tokens": 100, "seconds": 50})");
  write(dir.file("broken/run.json"), "{");
  write(dir.file("index.db"), "this is no database");
  const auto rows = store::scan_runs(env(), dir.path());
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_TRUE(store::write_run_index(env(), dir.path(), *rows).ok());
  EXPECT_EQ(
      query(dir.file("index.db"),
            "SELECT name, status, data, parameters, steps, tokens, loss, val_loss, "
            "tokens_per_second FROM runs ORDER BY name"),
      (std::vector<std::string>{"a|running|x'); DROP|5.0|4.0|400.0|2.5|9.0|200.0",
                                "b|done||-|-|100.0|1.25|-|2.0", "broken|unreadable||-|-|-|-|-|-"}));
  EXPECT_THAT((*rows)[2].error, HasSubstr("broken/run.json"));
}

}  // namespace
}  // namespace belay
