// Tokenizers against the ids that other people's programs gave, and against what a hostile file may
// hold. The vocabularies are cut to what the texts can reach (tests/oracle/tokenizer_subset.py).
#include "text/tokenizer.h"
#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "fault_env.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"
#include "tokenizer_data.h"

namespace belay {
namespace {

using nlohmann::json;
using test::encoded;
using test::vectors;
using ::testing::AllOf;
using ::testing::HasSubstr;
using text::Tokenizer;

using Ids = std::vector<std::int32_t>;

/// By the name of a file of vectors.
Tokenizer vector_tokenizer(const std::string& name) {
  if (name.ends_with(".json")) {
    auto tokenizer = Tokenizer::parse(vectors(name + ".zst"), name);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    return *tokenizer;
  }
  auto spec = text::parse_tiktoken(vectors(name + ".zst"), name);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  return Tokenizer::make(*spec, name).value();
}

TEST(Tokenizer, OfBytes) {
  const Tokenizer t = Tokenizer::bytes();
  EXPECT_EQ(t.vocab_size(), 256);
  EXPECT_FALSE(t.end_of_text().has_value());
  Ids ids(256);
  std::iota(ids.begin(), ids.end(), 0);
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  EXPECT_EQ(encoded(t, all), ids);
  EXPECT_EQ(t.decode(ids), all);
  EXPECT_EQ(t.encode_with_special(all), ids);
}

struct Column {
  std::string file, key;
  int rows;
};

class TokenizerOracle : public ::testing::TestWithParam<Column> {};

TEST_P(TokenizerOracle, GivesTheIdsOfEveryText) {
  const Column& column = GetParam();
  const Tokenizer tokenizer = vector_tokenizer(column.file);
  std::istringstream lines(vectors("tokenizer_oracle.jsonl.zst"));
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    const json row = base::json_value(line);
    if (!row.contains(column.key) || row[column.key].is_null()) continue;
    const auto text = row["text"].get<std::string>();
    const auto ids = row[column.key].get<Ids>();
    EXPECT_EQ(encoded(tokenizer, text), ids) << line.substr(0, 200);
    const bool changed = column.key == "qwen3" && !text::is_quickly_nfc(text);
    EXPECT_EQ(tokenizer.decode(ids), changed ? text::to_nfc(text) : text);
    ++rows;
  }
  EXPECT_EQ(rows, column.rows);
}

INSTANTIATE_TEST_SUITE_P(Columns, TokenizerOracle,
                         ::testing::Values(Column{"gpt2_tokenizer.json", "gpt2", 687},
                                           Column{"r50k_base.tiktoken", "gpt2", 687},
                                           Column{"cl100k_base.tiktoken", "cl100k_base", 687},
                                           Column{"o200k_base.tiktoken", "o200k_base", 687},
                                           Column{"qwen3_tokenizer.json", "qwen3", 686}),
                         [](const auto& row) {
                           return row.param.file.substr(0, row.param.file.find('_')) + "_" +
                                  (row.param.file.ends_with("json") ? "json" : "ranks");
                         });

TEST(Tokenizer, PlansOfTiktoken) {
  const std::map<std::string, Tokenizer> tokenizers = {
      {"r50k_base", vector_tokenizer("r50k_base.tiktoken")},
      {"p50k_base", vector_tokenizer("p50k_base.tiktoken")},
      {"p50k_edit", vector_tokenizer("p50k_base.tiktoken")},
      {"cl100k_base", vector_tokenizer("cl100k_base.tiktoken")},
      {"o200k_base", vector_tokenizer("o200k_base.tiktoken")}};
  std::istringstream lines(vectors("TestPlans.txt.zst"));
  std::string name, text;
  int plans = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto value = [&](std::string_view key) {
      return line.starts_with(key) ? std::optional(line.substr(key.size())) : std::nullopt;
    };
    if (const auto v = value("EncodingName: ")) name = *v;
    if (const auto v = value("Sample: ")) text = *v;
    if (const auto v = value("Encoded: ")) {
      EXPECT_EQ(encoded(tokenizers.at(name), text), base::json_value(*v).get<Ids>())
          << name << text;
      ++plans;
    }
  }
  EXPECT_EQ(plans, 313);
}

void check_llama_cpp(const std::string& tokenizer, const std::string& expected) {
  const Tokenizer t = vector_tokenizer(tokenizer);
  const std::string input = vectors("ggml-vocab.inp");
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::istringstream lines(vectors(expected));
  std::size_t at = 0;
  int n = 0;
  for (std::string line; std::getline(lines, line); ++n) {
    const std::size_t end = input.find(mark, at);
    std::istringstream numbers(line);
    const Ids ids(std::istream_iterator<std::int32_t>(numbers), {});
    EXPECT_EQ(encoded(t, input.substr(at, end - at)), ids) << "text " << n;
    if (end == std::string::npos) break;
    at = end + mark.size();
  }
  EXPECT_GE(n, 46);
}

TEST(Tokenizer, VectorsOfLlamaCpp) {
  check_llama_cpp("gpt2_tokenizer.json", "ggml-vocab-gpt-2.out");
  check_llama_cpp("qwen3_tokenizer.json", "ggml-vocab-qwen2.out");
}

TEST(Tokenizer, TinyLlama) {
  const std::string folder = std::string(BELAY_TEST_DATA) + "/stories260K";
  const auto t = Tokenizer::load(base::Env::posix(), folder);
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->vocab_size(), 512);
  EXPECT_EQ(Ids(t->template_prefix().begin(), t->template_prefix().end()), Ids{1});
  const json oracle = base::json_value(test::read_all(folder + "/stories260K_oracle.json"));
  for (const json& row : oracle["encode"]) {
    Ids ids = {1};
    t->encode(row["text"].get<std::string>(), ids);
    EXPECT_EQ(ids, row["ids"].get<Ids>()) << row["text"];
    EXPECT_EQ(t->decode(std::span(ids).subspan(1)), row["text"].get<std::string>());
  }
  EXPECT_EQ(t->encode_with_special("a</s>a"), (Ids{261, 2, 261}));
}

TEST(Tokenizer, SpecialTokensOnlyWhereTheyAreAskedFor) {
  const Tokenizer t = vector_tokenizer("qwen3_tokenizer.json");
  EXPECT_EQ(t.end_of_text(), 151643);
  const std::string text = "a<|endoftext|><think>b";
  Ids expected = encoded(t, "a");
  expected.insert(expected.end(), {151643, 151667});
  t.encode("b", expected);
  EXPECT_EQ(t.encode_with_special(text), expected);
  const Ids plain = encoded(t, text);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), 151643), 0);
  EXPECT_EQ(t.decode(plain), text);
  EXPECT_EQ(t.decode(expected), text);
}

TEST(Tokenizer, BlocksThatEndAtSafeCutsGiveTheSameIds) {
  std::string text;
  std::istringstream lines(vectors("tokenizer_oracle.jsonl.zst"));
  for (std::string line; std::getline(lines, line);) {
    text += base::json_value(line)["text"].get<std::string>();
  }
  for (const std::string file : {"gpt2_tokenizer.json", "cl100k_base.tiktoken",
                                 "o200k_base.tiktoken", "qwen3_tokenizer.json"}) {
    const Tokenizer t = vector_tokenizer(file);
    const Ids whole = encoded(t, text);
    for (const std::size_t block : {37u, 1000u, 65536u}) {
      Ids ids;
      int n_cuts = 0;
      for (std::string_view rest = text; !rest.empty();) {
        std::size_t cut = rest.size();
        for (std::size_t size = block; size < rest.size(); size *= 2) {
          cut = t.safe_cut(rest.substr(0, size));
          if (cut > 0) break;
          cut = rest.size();
        }
        t.encode(rest.substr(0, cut), ids);
        rest.remove_prefix(cut);
        ++n_cuts;
      }
      EXPECT_EQ(ids, whole) << file << " " << block;
      EXPECT_GE(n_cuts, static_cast<int>(text.size() / (4 * block))) << file << " " << block;
      EXPECT_GE(n_cuts, 2);
    }
  }
}

TEST(Tokenizer, OnePieceOfAMillionBytes) {
  const Tokenizer t = vector_tokenizer("gpt2_tokenizer.json");
  const std::string text(1 << 20, 'a');
  const Ids ids = encoded(t, text);
  EXPECT_EQ(t.decode(ids), text);
  EXPECT_LT(ids.size(), text.size() / 2);
}

TEST(Tokenizer, NormalizesToNfc) {
  // Composition, order of marks, Hangul, an exclusion, and text around it that stays.
  EXPECT_EQ(text::to_nfc("xe\u0301y"), "x\u00e9y");
  EXPECT_EQ(text::to_nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(text::to_nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(text::to_nfc("\u0958"), "\u0915\u093c");
  EXPECT_EQ(text::to_nfc("\u212b"), "\u00c5");
  EXPECT_TRUE(text::is_quickly_nfc("\u00e9\u4e2d\uac01"));
  EXPECT_FALSE(text::is_quickly_nfc("e\u0301"));
}

TEST(Tokenizer, SavesWhatLoadsAgain) {
  const ::belay::test::TempDir dir;
  for (const std::string file : {"", "cl100k_base.tiktoken", "o200k_base.tiktoken",
                                 "gpt2_tokenizer.json", "qwen3_tokenizer.json"}) {
    const Tokenizer t = file.empty() ? Tokenizer::bytes() : vector_tokenizer(file);
    const std::string folder = dir.file("tok_" + file);
    ASSERT_TRUE(t.save(base::Env::posix(), folder).ok());
    const auto again = Tokenizer::load(base::Env::posix(), folder);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->vocab_size(), t.vocab_size());
    EXPECT_EQ(again->end_of_text(), t.end_of_text());
    for (const std::string text :
         {"It was the  best of times,\n\n it's 1859", "中文。naïve\u0301"}) {
      EXPECT_EQ(encoded(*again, text), encoded(t, text)) << file;
    }
  }
}

struct BadTokenizer {
  std::string name, from, to, message;
};

class BadTokenizerJson : public ::testing::TestWithParam<BadTokenizer> {};

TEST_P(BadTokenizerJson, IsNamed) {
  std::string text = test::read_all(std::string(BELAY_TEST_DATA) + "/stories260K/tokenizer.json");
  text = base::json_value(text).dump();
  const std::size_t at = text.find(GetParam().from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, GetParam().from.size(), GetParam().to);
  const auto t = Tokenizer::parse(text, "tokenizer.json");
  ASSERT_FALSE(t.ok());
  EXPECT_THAT(t.status().message(),
              AllOf(HasSubstr("tokenizer.json"), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadTokenizerJson,
    ::testing::Values(
        BadTokenizer{"class", "\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "WordPiece"},
        BadTokenizer{"truncated", "\"merges\"", "", "not valid JSON"},
        BadTokenizer{"merge_unknown", "\"h e\"", "\"h zzz\"", "merges[1]"},
        BadTokenizer{"merge_form", "\"h e\"", "\"he\"", "no pair"},
        BadTokenizer{"merge_type", "\"h e\"", "7", "no pair"},
        BadTokenizer{"id_negative", "\"<s>\":1", "\"<s>\":-1", "whole number"},
        BadTokenizer{"id_huge", "\"<s>\":1", "\"<s>\":99999999999999999999", "whole number"},
        BadTokenizer{"id_twice", "\"<s>\":1", "\"<s>\":2", "another token"},
        BadTokenizer{"normalizer", "\"type\":\"Prepend\"", "\"type\":\"Lowercase\"", "Lowercase"},
        BadTokenizer{"pre_tokenizer", "\"pre_tokenizer\":null",
                     R"("pre_tokenizer":{"type":"Whitespace"})", "Whitespace"},
        BadTokenizer{
            "regex", "\"pre_tokenizer\":null",
            R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a-z]"},"behavior":"Isolated"})",
            "[a-z]"},
        BadTokenizer{"template_id", "\"ids\":[1]", "\"ids\":[512]", "outside the vocabulary"},
        BadTokenizer{"added_id", "\"content\":\"<s>\",\"id\":1", "\"content\":\"<s>\",\"id\":7",
                     "contradicts"},
        BadTokenizer{"truncation", "\"truncation\":null", "\"truncation\":{}", "truncation"},
        BadTokenizer{"unk", "\"unk_token\":\"<unk>\"", "\"unk_token\":\"<none>\"", "unk_token"}),
    [](const auto& row) { return row.param.name; });

TEST(Tokenizer, RankFilesThatLie) {
  const auto message = [](const std::string& text) {
    const auto spec = text::parse_tiktoken(text, "cl100k_base.tiktoken");
    if (!spec.ok()) return spec.status().message();
    return Tokenizer::make(*spec, "cl100k_base.tiktoken").status().message();
  };
  EXPECT_THAT(message("IQ== 0\nIg== 0\n"), HasSubstr("line 2"));
  EXPECT_THAT(message("I!== 0\n"), HasSubstr("line 1"));
  EXPECT_THAT(message("IQ== 99999999999\n"), HasSubstr("line 1"));
  EXPECT_THAT(message("IQ== 0\n"), HasSubstr("no token for byte"));
  EXPECT_THAT(text::parse_tiktoken("", "x.tiktoken").status().message(), HasSubstr("o200k_base"));
}

}  // namespace
}  // namespace belay
