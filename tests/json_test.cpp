#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/cpu.h"

namespace belay::base {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string fault(std::string_view text) {
  const auto result = parse_json(text, "x.json");
  return result.ok() ? "ok" : result.status().message();
}

TEST(Json, RefusesWhatIsNotOneStrictDocument) {
  for (const std::string_view text :
       {"", " ", "{", "[1,]", "{\"a\":1,}", "nul", "01", "+1", "{a:1}", "{} {}", "// c\n{}",
        "[1e999]", "\"\x01\"", "\"\xff\"", "\"\xc0\x80\"", "\"\\ud800\"", "NaN", "'a'"}) {
    EXPECT_THAT(fault(text), HasSubstr("x.json: is not valid JSON near byte")) << text;
  }
  EXPECT_EQ(fault("{\"a\": [1, -2.5e3, null, true, \"\\u00e9\"]}"), "ok");
}

TEST(Json, RefusesDuplicateKeysAtEveryLevel) {
  EXPECT_THAT(fault("{\"a\":1,\"b\":2,\"a\":3}"), HasSubstr("x.json: has the key 'a' twice"));
  EXPECT_THAT(fault("[{\"b\":{\"c\":1,\"\\u0063\":3}}]"), HasSubstr("has the key 'c' twice"));
  EXPECT_EQ(fault("[{\"a\":1},{\"a\":{\"a\":1}}]"), "ok");
}

TEST(Json, RefusesDepthBeforeBuilding) {
  EXPECT_EQ(fault(std::string(64, '[') + std::string(64, ']')), "ok");
  EXPECT_THAT(fault(std::string(65, '[') + std::string(65, ']')), HasSubstr("nested too deeply"));
  EXPECT_THAT(fault(std::string(10'000'000, '[')), HasSubstr("nested too deeply"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(fault(objects), HasSubstr("nested too deeply"));
}

TEST(Json, RefusesSize) {
  const auto result = parse_json("[1, 2, 3]", "x.json", {.max_bytes = 8});
  EXPECT_EQ(result.status().code(), Code::kResource);
}

TEST(JsonReader, GettersNameFileAndField) {
  const auto root = parse_json(
      R"({"n": 5, "big": 18446744073709551615, "f": 2.5, "whole": 3.0, "s": "\u001b[2J", "b": true,
          "nul": null, "o": {"k": [1, 2, 300]}, "l": ["a"]})",
      "x.json");
  ASSERT_TRUE(root.ok()) << root.status().message();
  EXPECT_EQ(*root->require_int("n", 0, 5), 5);
  EXPECT_EQ(root->require_int("n", 0, 4).status().message(),
            "x.json: n: is out of range (seen 5; allowed 0 to 4)");
  EXPECT_THAT(root->require_int("big", 0, INT64_MAX).status().message(), HasSubstr("out of range"));
  EXPECT_THAT(root->require_int("whole", 0, 9).status().message(), HasSubstr("not a whole number"));
  EXPECT_THAT(root->require_int("s", 0, 9).status().message(), HasSubstr("'\\x1b[2J'"));
  EXPECT_EQ(root->require_int("gone", 0, 9).status().message(), "x.json: gone: is missing");
  EXPECT_EQ(root->require_int("nul", 0, 9).status().message(), "x.json: nul: is missing");
  EXPECT_EQ(*root->optional_int("nul", 0, 9, 7), 7);
  EXPECT_EQ(*root->require_double("f", 0, 3), 2.5);
  EXPECT_EQ(*root->require_double("n", 0, 9), 5.0);
  EXPECT_THAT(root->require_double("f", 0, 2).status().message(), HasSubstr("allowed 0.0 to 2.0"));
  EXPECT_EQ(*root->optional_double("gone", 0, 3, 1.5), 1.5);
  EXPECT_TRUE(*root->require_bool("b"));
  EXPECT_THAT(root->optional_bool("n", true).status().message(), HasSubstr("true or false"));
  EXPECT_EQ(*root->optional_string("gone", "x"), "x");
  EXPECT_FALSE(root->require_string("n").ok());
  EXPECT_FALSE(root->require_object("l").ok());
  EXPECT_THAT(*root->require("l")->strings(1), ElementsAre("a"));
  EXPECT_FALSE(root->require("l")->strings(0).ok());
  const auto inner = root->require_object("o")->require("k");
  EXPECT_THAT(*inner->ints(1, 300, 3), ElementsAre(1, 2, 300));
  EXPECT_EQ(inner->ints(1, 299, 3).status().message(),
            "x.json: o.k[2]: is out of range (seen 300; allowed 1 to 299)");
  EXPECT_FALSE(inner->ints(1, 300, 2).ok());
}

TEST(JsonReader, AFieldOfSomethingElseThanAnObjectIsAnError) {
  const auto root = parse_json("[1]", "x.json");
  EXPECT_EQ(root->optional_int("n", 0, 9, 7).status().message(),
            "x.json: is not a JSON object (seen an array of 1)");
}

TEST(Nearest, FindsSlipsOnly) {
  const std::vector<std::string_view> keys = {"hidden_size", "head_dim", "vocab_size"};
  EXPECT_EQ(nearest("hiden_size", keys), "hidden_size");
  EXPECT_EQ(nearest("headdim", keys), "head_dim");
  EXPECT_EQ(nearest("temperature", keys), std::nullopt);
  EXPECT_EQ(nearest(std::string(10'000, 'x'), keys), std::nullopt);
}

TEST(Cpu, NamesGoBothWays) {
  for (const Isa isa :
       {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx, Isa::kNeon}) {
    EXPECT_EQ(parse_isa(isa_name(isa)), isa);
  }
  EXPECT_EQ(parse_isa("sse"), std::nullopt);
  EXPECT_EQ(supported_isas().front(), Isa::kScalar);
  EXPECT_EQ(best_isa(), supported_isas().back());
  EXPECT_FALSE(cpu_model().empty());
}

}  // namespace
}  // namespace belay::base
