// Tokenizers of GGUF files: against llama.cpp's own ids, and against what a hostile file may hold.
#include "text/ggml_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fault_env.h"
#include "text/split.h"
#include "tokenizer_data.h"

namespace belay::text {
namespace {

using belay::test::BytesEnv;
using belay::test::encoded;
using belay::test::vectors;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Ids = std::vector<std::int32_t>;

TEST(Split, IsThatOfTheExpressions) {
  for (const json& row : base::json_value(vectors("splits.json"))) {
    const std::string text = row["text"];
    for (const Split split : {Split::kDigits, Split::kDeepSeekCoder}) {
      std::vector<std::string> pieces;
      for_each_piece(split, text,
                     [&](const char* p, const char* e, const char*) { pieces.emplace_back(p, e); });
      EXPECT_EQ(pieces, row[std::string(split_name(split))].get<std::vector<std::string>>())
          << split_name(split) << ": " << text;
      // Where a text may be cut, both parts split as they do in one.
      const std::size_t cut = last_safe_cut(split, text, false);
      std::vector<std::string> parts;
      for (const auto part :
           {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)}) {
        for_each_piece(split, part, [&](const char* p, const char* e, const char*) {
          parts.emplace_back(p, e);
        });
      }
      EXPECT_EQ(parts, pieces) << split_name(split) << " cut at " << cut << ": " << text;
    }
  }
}

TEST(GgmlVocabulary, GivesTheIdsOfLlamaCpp) {
  const std::string mark = "\n__ggml_vocab_test__\n";
  const std::string input = vectors("ggml-vocab.inp");
  for (const std::string name : {"gpt-2", "mpt", "phi-3"}) {
    const std::string file = vectors("ggml-vocab-" + name + ".gguf.zst");
    BytesEnv env(file);
    const auto t = Tokenizer::load(env, name + ".gguf");
    ASSERT_TRUE(t.ok()) << t.status().message();
    std::istringstream lines(vectors("ggml-vocab-" + name + ".out"));
    std::size_t at = 0;
    int n = 0;
    for (std::string line; std::getline(lines, line); ++n) {
      const std::size_t end = input.find(mark, at);
      std::istringstream numbers(line);
      const Ids ids(std::istream_iterator<std::int32_t>(numbers), {});
      const std::string text = input.substr(at, end - at);
      EXPECT_EQ(encoded(*t, text), ids) << name << ": text " << n;
      EXPECT_EQ(t->decode(ids), text) << name << ": text " << n;
      at = end == std::string::npos ? input.size() : end + mark.size();
    }
    EXPECT_EQ(n, 46);
  }
}

/// One id a byte, then tokens of two symbols.
GgmlVocabulary byte_vocabulary() {
  GgmlVocabulary v;
  v.model = "gpt2";
  v.pre = "gpt-2";
  for (int b = 0; b < 256; ++b) v.tokens.emplace_back(byte_symbol(static_cast<std::uint8_t>(b)));
  return v;
}

std::string make_fault(const GgmlVocabulary& v) {
  const auto spec = spec_of_ggml(v, "w.gguf");
  if (!spec.ok()) return spec.status().message();
  const auto tokenizer = Tokenizer::make(*spec, "w.gguf");
  return tokenizer.ok() ? "ok" : tokenizer.status().message();
}

TEST(GgmlVocabulary, SpecialTokensAndWords) {
  GgmlVocabulary v = byte_vocabulary();
  v.tokens.insert(v.tokens.end(), {"ab", "<s>", "<think>", "ü"});
  v.types.assign(260, 1);
  v.types[257] = 3;
  v.types[258] = v.types[259] = 4;
  v.merges = {"a b"};
  v.bos = v.eos = 257;
  v.add_bos = true;
  v.chat_template = "{{ x }}";
  const auto t = Tokenizer::make(spec_of_ggml(v, "w.gguf").value(), "w.gguf").value();
  EXPECT_EQ(encoded(t, "ab<think>"), (Ids{256, 258}));
  EXPECT_EQ(encoded(t, "<s>"), (Ids{'<', 's', '>'}));
  EXPECT_EQ(t.encode_with_special("<s>ab"), (Ids{257, 256}));
  EXPECT_EQ(encoded(t, "ü"), Ids{259});
  EXPECT_EQ(t.decode(Ids{257, 256, 259}), "<s>abü");
  EXPECT_THAT(t.template_prefix(), ElementsAre(257));
  EXPECT_EQ(t.end_of_text(), 257);
  EXPECT_EQ(t.bos_token(), "<s>");
  EXPECT_EQ(t.chat_template(), "{{ x }}");
}

TEST(GgmlVocabulary, SaysWhatItCannotDo) {
  const auto changed = [](auto change) {
    GgmlVocabulary v = byte_vocabulary();
    change(v);
    return make_fault(v);
  };
  EXPECT_EQ(changed([](auto&) {}), "ok");
  EXPECT_THAT(changed([](auto& v) { v.model = "bert"; }),
              AllOf(HasSubstr("w.gguf: key 'tokenizer.ggml.model'"), HasSubstr("seen 'bert'"),
                    HasSubstr("allowed gpt2, llama")));
  EXPECT_THAT(changed([](auto& v) { v.pre = "tekken"; }),
              AllOf(HasSubstr("'tokenizer.ggml.pre'"), HasSubstr("seen 'tekken'"),
                    HasSubstr("gpt-2, "), HasSubstr("deepseek-coder")));
  EXPECT_THAT(changed([](auto& v) { v.pre = ""; }), HasSubstr("is missing"));
  EXPECT_THAT(changed([](auto& v) { v.merges = {"a b"}; }),
              AllOf(HasSubstr("merges': element 0"), HasSubstr("seen 'a b'")));
  EXPECT_THAT(changed([](auto& v) { v.merges = {"ab"}; }), HasSubstr("no pair"));
  EXPECT_THAT(changed([](auto& v) { v.merges = {""}; }), HasSubstr("no pair"));
  EXPECT_THAT(changed([](auto& v) {
                v.types = {1, 1};
              }),
              AllOf(HasSubstr("token_type"), HasSubstr("seen 2; allowed 256")));
  EXPECT_THAT(changed([](auto& v) { v.bos = 256; }),
              AllOf(HasSubstr("bos_token_id"), HasSubstr("seen 256; allowed 0 to 255")));
  EXPECT_THAT(changed([](auto& v) { v.add_eos = true; }), HasSubstr("add_eos_token"));
  EXPECT_THAT(changed([](auto& v) { v.tokens[97] = "zz"; }), HasSubstr("no token for byte"));
  EXPECT_THAT(changed([](auto& v) { v.model = "llama"; }),
              AllOf(HasSubstr("scores"), HasSubstr("seen 0; allowed 256")));
  EXPECT_THAT(changed([](auto& v) {
                v.model = "llama";
                v.tokens = {std::string(513, 'a')};
                v.scores = {0};
              }),
              AllOf(HasSubstr("tokens"), HasSubstr("seen 513 bytes; allowed at most 512")));
  EXPECT_THAT(changed([](auto& v) {
                v.model = "llama";
                v.tokens = {"a", "b", "ab", "ba"};
                v.scores = {0, 0, -1, -1};
              }),
              AllOf(HasSubstr("scores"), HasSubstr("seen 'ab', 'ba'")));
}

TEST(GgmlVocabulary, BytesThatNoTextHoldsNeedNoToken) {
  GgmlVocabulary v = byte_vocabulary();
  v.tokens.pop_back();
  const auto t = Tokenizer::make(spec_of_ggml(v, "w.gguf").value(), "w.gguf").value();
  EXPECT_EQ(encoded(t, "a\xFF\xFE b\xFF"), (Ids{'a', 0xFE, ' ', 'b'}));
}

TEST(GgmlVocabulary, RunsOfOneCharacterGrowFromTheLeft) {
  GgmlVocabulary v;
  v.model = "llama";
  v.add_space_prefix = false;
  v.tokens = {"a", "x", "xxx", "xx", "ax", "xxxx"};
  v.scores = {0, 0, -9, -9, -1, -9};
  const auto t = Tokenizer::make(spec_of_ggml(v, "w.gguf").value(), "w.gguf").value();
  EXPECT_EQ(encoded(t, "xxx"), Ids{2});
  EXPECT_EQ(encoded(t, "xxxxxxx"), (Ids{5, 2}));
  EXPECT_EQ(encoded(t, "axxxxx"), (Ids{4, 5}));
}

TEST(GgmlVocabulary, ComesBackFromATokenizer) {
  for (const char* name : {"gpt2_tokenizer.json", "qwen3_tokenizer.json"}) {
    const auto t = Tokenizer::parse(vectors(std::string(name) + ".zst"), name).value();
    const auto v = ggml_of_spec(t.spec(), name);
    ASSERT_TRUE(v.ok()) << v.status().message();
    EXPECT_EQ(v->pre, std::string(name).starts_with("gpt2") ? "gpt-2" : "qwen2");
    const auto again = Tokenizer::make(spec_of_ggml(*v, "w.gguf").value(), "w.gguf").value();
    ASSERT_EQ(again.vocab_size(), t.vocab_size());
    for (const char* text :
         {"Hello world, it's 2024!", "  \n\t naïve 你好 e\u0301", "<|endoftext|>x"}) {
      EXPECT_EQ(encoded(again, text), encoded(t, text)) << text;
      EXPECT_EQ(again.encode_with_special(text), t.encode_with_special(text)) << text;
    }
    for (std::int32_t id = 0; id < t.vocab_size(); ++id) {
      ASSERT_EQ(again.token_bytes(id), t.token_bytes(id)) << id;
    }
  }
}

TEST(GgmlVocabulary, OfScoresComesBackFromATokenizer) {
  const std::string folder = std::string(BELAY_TEST_DATA) + "/stories260K";
  const auto t = Tokenizer::load(base::Env::posix(), folder).value();
  const auto v = ggml_of_spec(t.spec(), "t");
  ASSERT_TRUE(v.ok()) << v.status().message();
  EXPECT_EQ(v->model, "llama");
  EXPECT_EQ(v->bos, 1);
  EXPECT_EQ(v->unk, 0);
  const auto again = Tokenizer::make(spec_of_ggml(*v, "w.gguf").value(), "w.gguf").value();
  for (const char* text : {"Once upon a time", "  two  spaces", "Lily's mom: \"Hi\"\n", "你 é"}) {
    EXPECT_EQ(encoded(again, text), encoded(t, text)) << text;
    EXPECT_EQ(again.decode(encoded(t, text)), text);
  }
  EXPECT_EQ(Ids(again.template_prefix().begin(), again.template_prefix().end()), Ids{1});
}

TEST(GgmlVocabulary, IsSavedAsATokenizerJson) {
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "smollm", "deepseek-coder"}) {
    GgmlVocabulary v = byte_vocabulary();
    v.pre = pre;
    v.tokens.insert(v.tokens.end(), {"ab", "<s>", "<think>"});
    v.types.assign(259, 1);
    v.types[257] = 3;
    v.types[258] = 4;
    v.merges = {"a b"};
    v.bos = v.eos = 257;
    v.add_bos = v.add_eos = true;
    v.chat_template = "{{ \"é\" }}";
    const auto t = Tokenizer::make(spec_of_ggml(v, "w.gguf").value(), "w.gguf").value();
    const belay::test::TempDir dir;
    ASSERT_TRUE(t.save(base::Env::posix(), dir.path()).ok());
    const auto again = Tokenizer::load(base::Env::posix(), dir.path());
    ASSERT_TRUE(again.ok()) << pre << ": " << again.status().message();
    EXPECT_EQ(again->split_name(), t.split_name());
    EXPECT_EQ(again->encode_with_special("ab 12<think>e\u0301\n"),
              t.encode_with_special("ab 12<think>e\u0301\n"))
        << pre;
    EXPECT_THAT(again->template_prefix(), ElementsAre(257));
    EXPECT_THAT(again->template_suffix(), ElementsAre(257));
    EXPECT_EQ(again->eos_token(), "<s>");
    EXPECT_EQ(again->chat_template(), v.chat_template);
  }
}

TEST(GgmlVocabulary, OfScoresIsSavedAsATokenizerJson) {
  const std::string file = vectors("ggml-vocab-phi-3.gguf.zst");
  BytesEnv env(file);
  const auto t = Tokenizer::load(env, "phi-3.gguf").value();
  const belay::test::TempDir dir;
  ASSERT_TRUE(t.save(base::Env::posix(), dir.path()).ok());
  const auto again = Tokenizer::load(base::Env::posix(), dir.path());
  ASSERT_TRUE(again.ok()) << again.status().message();
  for (const char* text : {"Hello  world", "     x", "naïve 🦙\n", " \t "}) {
    EXPECT_EQ(encoded(*again, text), encoded(t, text)) << text;
    EXPECT_EQ(again->decode(encoded(t, text)), text);
  }
  EXPECT_THAT(again->template_prefix(), ElementsAre(1));
  EXPECT_EQ(again->eos_token(), "<|endoftext|>");
  EXPECT_EQ(again->chat_template(), t.chat_template());
}

TEST(TokenizerConfig, HasOneTemplateOrSeveral) {
  const auto template_of = [](std::string_view config) {
    TokenizerSpec spec;
    const auto status = parse_tokenizer_config(config, "c", spec);
    return status.ok() ? spec.chat_template : status.message();
  };
  EXPECT_EQ(template_of(R"({"chat_template": "x"})"), "x");
  EXPECT_EQ(template_of(R"({"chat_template": [{"name": "tool", "template": "y"},
                                              {"name": "default", "template": "z"}]})"),
            "z");
  EXPECT_EQ(template_of(R"({"chat_template": null})"), "");
  EXPECT_THAT(template_of(R"({"chat_template": 3})"), HasSubstr("chat_template"));
}

TEST(GgmlVocabulary, RefusesToSayWhatItCannot) {
  TokenizerSpec spec = Tokenizer::bytes().spec();
  EXPECT_TRUE(ggml_of_spec(spec, "t").ok());
  spec.add_prefix_space = true;
  EXPECT_TRUE(ggml_of_spec(spec, "t").ok());
  spec.tokens.emplace_back("ab");
  spec.merges = {{'a', 'b', 256, 0}};
  const auto unsplit = ggml_of_spec(spec, "t");
  EXPECT_THAT(unsplit.status().message(), AllOf(HasSubstr("t: split"), HasSubstr("seen none")));

  TokenizerSpec llama =
      Tokenizer::load(base::Env::posix(), std::string(BELAY_TEST_DATA) + "/stories260K")
          .value()
          .spec();
  const auto same = std::adjacent_find(llama.merges.begin(), llama.merges.end(),
                                       [](const Merge& a, const Merge& b) { return a.id == b.id; });
  ASSERT_NE(same, llama.merges.end());
  llama.merges.erase(same);
  EXPECT_THAT(ggml_of_spec(llama, "t").status().message(),
              AllOf(HasSubstr("t: merges"), HasSubstr("not those that scores")));
}

}  // namespace
}  // namespace belay::text
