#include "climb_example.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"

namespace belay::test {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 5> kSamples = {
    "spo tre bur b oifo ans su the kee. he wiargolfinthe pe more he tounats s hare ., "
    "otat Me nounashiashe son. I fawe a wroof are hk t in s an; the thewethe we  fthein "
    "ole. wame the tba I asteretheshy thou ce shgceoushed m eilbro; ando ileMe I an hen "
    "hetemalpes t ad; imalarele we ud bs n s ithuroand hel at ant, sorsn. fucee bane e",
    " non lonet hire, the me gand afomt the wheven. The to har sor heer lod he on tras. "
    "We wor ile nonent he it. Thenat hatry me arerk the the tre and ar’s the pu thing "
    "cod that the t” sherer cou sro toreand okvele orereavidow qur hind tpe I and the "
    "suncomlling a Jof hid hing thil io in sa tas fored four they sinocke.—I sed o l",
    " ever them was certain are then by the timal expert for which was at remaning "
    "genatity for seet it was to not ween to no be of homes the happer the Lour the it "
    "that was struth the Dilck a portang lead, when woll, and and reyeiuch as bots ober "
    "and the drecled to aknounter been to hander the nother was a been a doavinence for "
    "the",
    " go to marrive how to merely troside of a herself of the prover his business overed "
    "of it must disposed into them any not to be very stand Mr. But I’m she indeed the "
    "very made through the might came of the yarl see as felitire to the Whappened my "
    "well dressed ir my have been nothing and times of the couldn’t over creating to",
    " don’t known man that Mary admours that Miss Fairia with the surposite with new, to "
    "his track he should real creaturning the circups of the propost was they are a gen "
    "of its and Paie and her heard to my coudre, and all caintful would Mr. Collow they "
    "relep and hundred him the islome, and to accompanied to it beere chorse from s"};

// Numbers near those of byte models on novels, for curves that look like real ones.
constexpr double kE = 0.78, kA = 30, kB = 26, kAlpha = 0.34, kBeta = 0.30;
constexpr double kContext = 256, kFlopsASecond = 3e11, kPricePerHour = 0.35;
constexpr double kTrainTokens = 14'811'619, kBytesAToken = 1;

double law(double n, double d) { return kE + kA * std::pow(n, -kAlpha) + kB * std::pow(d, -kBeta); }

struct ExampleShape {
  int depth, width;
  double params() const { return 12.0 * depth * width * width + 256.0 * width; }
  double flops_a_token() const { return 6 * params() + 6 * depth * width * kContext; }
};

class Example {
 public:
  json rung(const ExampleShape& shape, int row, double flops) {
    const double n = shape.params(), d = flops / shape.flops_a_token();
    const double noise = 0.004 * rng_.normal(n_++);
    const double loss = law(n, d) * (1 + noise);
    return {{"name", fmt::format("d{}-w{}-r{}", shape.depth, shape.width, row)},
            {"depth", shape.depth},
            {"width", shape.width},
            {"seed", 1},
            {"row", row},
            {"params", n},
            {"tokens", std::round(d)},
            {"flops", flops},
            {"seconds", flops / kFlopsASecond * (1 + 0.03 * rng_.normal(n_++))},
            {"val_loss", loss},
            {"val_bpb", loss / std::log(2) / kBytesAToken}};
  }

 private:
  base::Rng rng_{1, base::Purpose::kTest, 0};
  std::uint64_t n_ = 0;
};

json value(double fitted, double spread) {
  return {{"value", fitted}, {"low", fitted * (1 - spread)}, {"high", fitted * (1 + spread)}};
}

json sample(std::size_t i) { return {{"prompt", "It was"}, {"text", kSamples[i]}}; }

void add_rungs(json& climb, Example& example) {
  const std::vector<ExampleShape> shapes = {{1, 64},  {2, 80},  {2, 112}, {3, 144},
                                            {3, 192}, {4, 240}, {5, 304}};
  json plan = json::array(), rungs = json::array();
  for (int row = 0; row < 5; ++row) {
    const double flops = 2.5e11 * std::pow(3.0, row);
    const int first = row < 2 ? 0 : row - 1;
    for (int i = first; i < std::min<int>(first + 5, static_cast<int>(shapes.size())); ++i) {
      json rung = example.rung(shapes[static_cast<std::size_t>(i)], row, flops);
      rung["sample"] = sample(static_cast<std::size_t>(row));
      plan.push_back(
          {{"name", rung["name"]}, {"flops", flops}, {"seconds", flops / kFlopsASecond}});
      rungs.push_back(rung);
    }
  }
  rungs[3]["val_loss"] = 3.9;
  rungs[3]["excluded"] = "31 % above what the other rungs say (diverged?)";
  climb["plan"] = {{"rungs", plan}, {"price_per_hour", kPricePerHour}, {"next_ratio", 10}};
  climb["rungs"] = rungs;
}

void add_fit(json& climb) {
  climb["fit"] = {{"form", "repeats"},
                  {"E", value(kE * 1.01, 0.12)},
                  {"A", value(kA * 0.97, 0.4)},
                  {"B", value(kB * 1.03, 0.5)},
                  {"alpha", value(kAlpha * 0.997, 0.07)},
                  {"beta", value(kBeta * 1.004, 0.08)},
                  {"a", value(kBeta / (kAlpha + kBeta), 0.06)},
                  {"r_star", 15.4},
                  {"n_points", climb["rungs"].size() - 1},
                  {"held_out",
                   {{"n", 9},
                    {"median_error_percent", 0.62},
                    {"coverage_80", 0.78},
                    {"crps", 0.0089},
                    {"crps_no_change", 0.1207},
                    {"crps_straight_line", 0.0311}}}};
}

void add_next(json& climb, bool ran, Example& example) {
  const double flops = 2e14;
  const ExampleShape shape{6, 320};
  json next = example.rung(shape, 5, flops);
  const double n = next["params"], d = next["tokens"], median = law(n, d) * 0.998;
  const double loss = next["val_loss"], bpb = next["val_bpb"], seconds = next["seconds"];
  for (const char* measured : {"val_loss", "val_bpb", "row"}) next.erase(measured);
  next["name"] = "next";
  next["seconds"] = flops / kFlopsASecond;
  next["unique_tokens"] = kTrainTokens;
  next["forecast"] = {{"id", "3f9c1d2ab07e4415"},
                      {"made", 1795000000},
                      {"head", std::string(8, '7') + std::string(56, 'c')},
                      {"median", median},
                      {"low50", median * 0.996},
                      {"high50", median * 1.005},
                      {"low80", median * 0.991},
                      {"high80", median * 1.010},
                      {"low95", median * 0.983},
                      {"high95", median * 1.018},
                      {"no_change", climb["rungs"].back()["val_loss"]},
                      {"straight_line", median * 0.972},
                      {"parts",
                       {{"law", {{"median", median * 1.002}, {"weight", 0.6}}},
                        {"best_of_rows", {{"median", median * 0.997}, {"weight", 0.4}}}}}};
  climb["beyond"] = {{"flops", 10 * flops},
                     {"params", 1.6e7},
                     {"tokens", 1.9e7},
                     {"median", median * 0.905},
                     {"low80", median * 0.88},
                     {"high80", median * 0.93},
                     {"val_bpb_median", median * 0.905 / std::log(2)}};
  if (ran) {
    next["outcome"] = {
        {"val_loss", loss},
        {"val_bpb", bpb},
        {"seconds", seconds},
        {"crps", 0.0061},
        {"crps_no_change", std::fabs(climb["rungs"].back()["val_loss"].get<double>() - loss)},
        {"crps_straight_line", std::fabs(median * 0.972 - loss)},
        {"sample", sample(4)}};
  } else {
    climb.erase("beyond");
  }
  climb["next"] = next;
}

}  // namespace

json climb_example(bool ran) {
  json climb = {
      {"format", 1},
      {"status", ran ? "done" : "running"},
      {"started", 1794998800},
      {"version", "0.1.0"},
      {"command", {"belay", "climb", "--out", "runs/example"}},
      {"machine", {{"processor", "a machine"}, {"threads", 2}, {"isa", "amx"}}},
      {"data",
       {{"name", "made up: a law with noise, and samples of other runs"},
        {"vocab_size", 256},
        {"train", {{"documents", 24}, {"tokens", kTrainTokens}, {"bytes", kTrainTokens}}}}},
      {"options", {{"seed", "1"}, {"out", "runs/example"}}}};
  Example example;
  add_rungs(climb, example);
  add_fit(climb);
  add_next(climb, ran, example);
  double ladder = 0, flops = 0;
  for (const json& rung : climb["rungs"]) {
    ladder += rung["seconds"].get<double>();
    flops += rung["flops"].get<double>();
  }
  climb["plan"]["seconds"] = (flops + 2e14) / kFlopsASecond;
  climb["plan"]["flops"] = flops + 2e14;
  climb["plan"]["next_flops"] = 2e14;
  if (ran) {
    const double seconds = ladder + climb["next"]["outcome"]["seconds"].get<double>();
    climb["totals"] = {
        {"seconds", seconds}, {"flops", flops + 2e14}, {"price", seconds / 3600 * kPricePerHour}};
    climb["seed_deviation_percent"] = 0.31;
  }
  return climb;
}

}  // namespace belay::test
