// The forecast register: what is read back, which changes are noticed, and what crashes and second
// attempts leave.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/hash.h"
#include "crash_env.h"
#include "run_belay.h"
#include "store/forecast_register.h"

namespace belay::store {
namespace {

using base::Env;
using test::CrashEnv;
using test::TempDir;

Forecast some_forecast(const std::string& run, double median = 3.5) {
  Forecast f;
  f.made = 1.7e9;
  f.kind = "loss";
  f.target = {{"run", run}, {"metric", "val_loss"}};
  f.unit = "nats per token";
  f.made_from = base::sha256_hex("the ladder");
  f.median = median;
  for (int i = 1; i <= 99; ++i) f.quantiles.push_back(median + (i - 50) / 1000.0);
  f.baselines = {{"no change", 3.9}, {"straight line", 3.4}};
  f.n_points = 12;
  f.note = "L = E + A/C^b";
  return f;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    lines.push_back(text.substr(at, end - at));
    at = end;
  }
  return lines;
}

TEST(Sha256, MatchesThePublishedExamples) {  // FIPS 180-4, one block and none
  EXPECT_EQ(base::sha256_hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(base::sha256_hex(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ForecastRegister, ReadsBackWhatWasAppended) {
  const TempDir dir;
  const std::string path = dir.file("deep/forecasts.jsonl");
  const auto a = append_forecast(Env::posix(), path, some_forecast("a"));
  const auto b = append_forecast(Env::posix(), path, some_forecast("b", 3.25));
  ASSERT_TRUE(a.ok() && b.ok()) << a.status().message();
  ASSERT_TRUE(append_outcome(Env::posix(), path, {*b, 3.26, 1.8e9}).ok());
  const auto read = read_register(Env::posix(), path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_EQ(read->forecasts.size(), 2u);
  const Forecast& got = read->forecasts[1];
  const Forecast want = some_forecast("b", 3.25);
  EXPECT_EQ(got.id, *b);
  EXPECT_EQ(got.target, want.target);
  EXPECT_EQ(got.quantiles, want.quantiles);
  EXPECT_EQ(got.baselines, want.baselines);
  EXPECT_EQ(got.note, want.note);
  EXPECT_EQ(got.n_points, 12);
  EXPECT_EQ(read->outcome_of(*b)->value, 3.26);
  EXPECT_EQ(read->outcome_of(*a), nullptr);
}

TEST(ForecastRegister, TheSameForecastAgainIsTheEarlierOne) {
  const TempDir dir;
  const std::string path = dir.file("f.jsonl");
  const auto first = append_forecast(Env::posix(), path, some_forecast("a"));
  Forecast again = some_forecast("a");
  again.made += 100;
  EXPECT_EQ(*append_forecast(Env::posix(), path, again), *first);
  again.made_from = base::sha256_hex("a longer ladder");
  EXPECT_NE(*append_forecast(Env::posix(), path, again), *first);
  EXPECT_EQ(read_register(Env::posix(), path)->forecasts.size(), 2u);
  // The outcome is known: no further forecast of it.
  ASSERT_TRUE(append_outcome(Env::posix(), path, {*first, 3.6, 1.8e9}).ok());
  again.made_from = base::sha256_hex("hindsight");
  const auto late = append_forecast(Env::posix(), path, again);
  EXPECT_EQ(late.status().code(), base::Code::kInvalidArgument);
  EXPECT_NE(late.status().message().find("known already"), std::string::npos);
}

TEST(ForecastRegister, AnOutcomeIsWrittenOnce) {
  const TempDir dir;
  const std::string path = dir.file("f.jsonl");
  const auto id = append_forecast(Env::posix(), path, some_forecast("a"));
  EXPECT_TRUE(append_outcome(Env::posix(), path, {*id, 3.6, 1.8e9}).ok());
  const std::string text = test::read(path);
  EXPECT_TRUE(append_outcome(Env::posix(), path, {*id, 3.6, 1.9e9}).ok());
  EXPECT_EQ(test::read(path), text);
  EXPECT_FALSE(append_outcome(Env::posix(), path, {*id, 3.7, 1.8e9}).ok());
  EXPECT_FALSE(append_outcome(Env::posix(), path, {"0123456789abcdef", 3.7, 1.8e9}).ok());
  EXPECT_EQ(test::read(path), text);
}

TEST(ForecastRegister, NamesTheLineThatWasEditedTakenOutOrMoved) {
  const TempDir dir;
  const std::string path = dir.file("f.jsonl");
  for (const char* run : {"a", "b", "c"}) {
    ASSERT_TRUE(append_forecast(Env::posix(), path, some_forecast(run)).ok());
  }
  const std::string text = test::read(path);
  const auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 3u);
  const auto fault = [](const std::string& changed) {
    return parse_register(changed, "f").status().message();
  };
  EXPECT_EQ(fault(lines[0] + lines[2]).find("f: line 2: does not follow"), 0u);
  EXPECT_EQ(fault(lines[1] + lines[2]).find("f: line 1: does not follow"), 0u);
  EXPECT_EQ(fault(lines[0] + lines[2] + lines[1]).find("f: line 2: does not follow"), 0u);
  std::string edited = text;
  edited.replace(edited.find("\"median\":3.5", lines[0].size()), 12, "\"median\":3.4");
  EXPECT_EQ(fault(edited).find("f: line 2: does not match its SHA-256"), 0u);
  for (std::size_t i = 0; i + 1 < text.size(); i += 7) {  // any flipped bit of any line
    std::string flipped = text;
    flipped[i] = static_cast<char>(flipped[i] ^ 4);
    EXPECT_FALSE(parse_register(flipped, "f").ok()) << i;
  }
  // The last line alone can vanish unseen; the head says so to who noted it.
  const auto shorter = parse_register(lines[0] + lines[1], "f");
  ASSERT_TRUE(shorter.ok());
  EXPECT_NE(shorter->head, parse_register(text, "f")->head);
}

TEST(ForecastRegister, RefusesWhatItCouldNotReadAgain) {
  const TempDir dir;
  const std::string path = dir.file("f.jsonl");
  const auto refused = [&](auto change) {
    Forecast f = some_forecast("a");
    change(f);
    return append_forecast(Env::posix(), path, f).status().code() == base::Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](Forecast& f) { f.median = NAN; }));
  EXPECT_TRUE(refused([](Forecast& f) { f.quantiles.pop_back(); }));
  EXPECT_TRUE(refused([](Forecast& f) { std::swap(f.quantiles[3], f.quantiles[4]); }));
  EXPECT_TRUE(refused([](Forecast& f) { f.kind = "hunch"; }));
  EXPECT_TRUE(refused([](Forecast& f) { f.target = "text"; }));
  EXPECT_TRUE(refused([](Forecast& f) { f.made_from = "me"; }));
  EXPECT_TRUE(refused([](Forecast& f) { f.note = std::string(1 << 17, 'x'); }));
  EXPECT_FALSE(Env::posix().exists(path));
  EXPECT_FALSE(refused([](Forecast& f) { f.target["run"] = "caf\xe9"; }));  // not UTF-8
  EXPECT_TRUE(read_register(Env::posix(), path).ok());
}

TEST(ForecastRegister, DropsAHalfWrittenLastLine) {
  const TempDir dir;
  const std::string path = dir.file("f.jsonl");
  ASSERT_TRUE(append_forecast(Env::posix(), path, some_forecast("a")).ok());
  const std::string one = test::read(path);
  ASSERT_TRUE(append_forecast(Env::posix(), path, some_forecast("b")).ok());
  const std::string two = test::read(path);
  for (std::size_t n = 1; n < two.size(); n += 97) {
    test::write(path, two.substr(0, n));
    EXPECT_EQ(read_register(Env::posix(), path)->torn, two[n - 1] != '\n') << n;
    ASSERT_TRUE(append_forecast(Env::posix(), path, some_forecast("a")).ok());
    ASSERT_TRUE(append_forecast(Env::posix(), path, some_forecast("b")).ok());
    EXPECT_EQ(test::read(path), two) << n;
  }
}

TEST(ForecastRegister, SurvivesACrashAtAnyChangeToTheDisk) {
  const std::string path = "r/f.jsonl";
  const auto write_all = [&](CrashEnv& env) -> base::Status {
    std::string id;
    for (const char* run : {"a", "b", "c"}) {
      BELAY_ASSIGN_OR_RETURN(id, append_forecast(env, path, some_forecast(run)));
    }
    return append_outcome(env, path, {id, 3.6, 1.8e9});
  };
  CrashEnv whole;
  ASSERT_TRUE(write_all(whole).ok());
  const std::string want = *whole.read_file(path, 0);
  for (const auto unsynced :
       {CrashEnv::Unsynced::kLost, CrashEnv::Unsynced::kKept, CrashEnv::Unsynced::kNamesOnlyKept}) {
    for (std::int64_t at = 0; at < whole.changes; ++at) {
      CrashEnv env;
      env.fault_at = at;
      env.fault = CrashEnv::Fault::kStop;
      EXPECT_FALSE(write_all(env).ok());
      env.crash(unsynced);
      ASSERT_TRUE(write_all(env).ok()) << at;  // the program begins again
      EXPECT_EQ(*env.read_file(path, 0), want) << at;
    }
  }
}

}  // namespace
}  // namespace belay::store
