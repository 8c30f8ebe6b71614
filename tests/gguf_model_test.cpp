// Models from GGUF files and to them: against the same weights in a Hugging Face folder, against an
// oracle's ids, and with keys and tensors changed one at a time.
#include "model/gguf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/rng.h"
#include "convert/gguf_export.h"
#include "convert/parity.h"
#include "fault_env.h"
#include "gguf_bytes.h"
#include "infer/engine.h"
#include "loaded_weights.h"
#include "model/weights.h"
#include "store/gguf.h"
#include "test_data.h"
#include "text/ggml_vocabulary.h"
#include "tokenizer_data.h"

namespace belay::model {
namespace {

using base::Env;
using belay::test::BytesEnv;
using belay::test::FaultEnv;
using belay::test::gguf_array;
using belay::test::gguf_key;
using belay::test::gguf_string;
using belay::test::raw;
using belay::test::read_all;
using belay::test::TempDir;
using ops::BlockType;
using store::GgufKind;
using test::data;
using test::env;
using test::kStories;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Letters, for models whose vocabulary is small.
text::Tokenizer letters() {
  text::GgmlVocabulary v;
  v.model = "llama";
  v.add_bos = false;
  for (char c = 'a'; c <= 'z'; ++c) v.tokens.emplace_back(1, c);
  v.scores.assign(v.tokens.size(), 0);
  return text::Tokenizer::make(text::spec_of_ggml(v, "letters").value(), "letters").value();
}

base::Result<convert::GgufExported> export_model(Env& to, const std::string& path,
                                                 const LoadedModel& model,
                                                 const text::Tokenizer& tokenizer,
                                                 const convert::GgufExport& options) {
  return convert::export_gguf(to, path, test::LoadedWeights(model), tokenizer, options);
}

void expect_equal_weights(const LoadedModel& a, const LoadedModel& b) {
  ASSERT_EQ(a.weights.size(), b.weights.size());
  const auto table = weight_table(a.config);
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_TRUE(a.weights[i] == b.weights[i]) << table[i].name();
  }
}

TEST(GgufModel, IsTheModelOfTheFolder) {
  auto gguf = load_model(env(), kStories + "/stories260K.gguf");
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  const auto folder = load_model(env(), kStories).value();
  expect_equal_weights(*gguf, folder);
  EXPECT_EQ(gguf->config.max_position, 2048);  // the file says so
  gguf->config.max_position = folder.config.max_position;
  EXPECT_EQ(gguf->config, folder.config);

  base::ThreadPool pool(2);
  base::Context ctx{pool};
  Model model(gguf->config, tensor::DType::kF32, false, 512);
  model.load(ctx, gguf->weights);
  infer::Engine engine(ctx, model, {.sequences = 1});
  const auto oracle = base::json_value(read_all(kStories + "/stories260K_oracle.json"));
  auto expected = oracle["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const std::vector<std::int32_t> bos = {expected.front()};
  expected.erase(expected.begin());
  const auto made =
      infer::complete(engine, {.prompt = bos,
                               .max_tokens = static_cast<std::int64_t>(expected.size()),
                               .sampler = {.temperature = 0}});
  EXPECT_EQ(made->front().ids, expected);
}

TEST(GgufModel, ComesBackAsItWasExported) {
  const TempDir dir;
  for (const char* name : {"qwen3_tiny", "qwen2_tiny", "llama3_tiny"}) {
    LoadedModel model = load_hf_folder(env(), data(std::string("models/") + name)).value();
    const std::string path = dir.file(std::string(name) + ".gguf");
    const auto exported = export_model(env(), path, model, letters(), {.name = name});
    ASSERT_TRUE(exported.ok()) << exported.status().message();
    EXPECT_TRUE(exported->in_f16.empty());
    const auto again = load_gguf_model(env(), path);
    ASSERT_TRUE(again.ok()) << again.status().message();
    expect_equal_weights(*again, model);
    model.config.initializer_range = again->config.initializer_range;
    EXPECT_EQ(again->config, model.config) << name;
    const auto tokenizer = text::Tokenizer::load(env(), path);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    EXPECT_EQ(tokenizer->vocab_size(), 26);
  }
}

/// A model of one layer of each kind of weight, of a family.
LoadedModel small_model(Family family, bool biases) {
  LoadedModel model;
  ModelConfig& c = model.config;
  c.family = family;
  c.qk_norm = family == Family::kQwen3;
  c.qkv_bias = c.out_bias = c.mlp_bias = biases;
  c.tied_embeddings = false;
  c.vocab_size = 32;
  c.hidden_size = 64;
  c.ffn_size = 96;
  c.n_layers = 1;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.head_dim = 16;
  c.bos_id = 1;
  c.eos_id = 2;
  c.more_eos_ids = {3, 4};
  const base::Rng rng(5, base::Purpose::kTest);
  std::uint64_t i = 0;
  for (const WeightSpec& spec : weight_table(c)) {
    model.weights.emplace_back(static_cast<std::size_t>(spec.shape.count()));
    for (float& value : model.weights.back()) value = rng.normal(i++);
  }
  return model;
}

TEST(GgufModel, KeepsBiasesHeadsAndEndOfTextIds) {
  const TempDir dir;
  const std::string path = dir.file("m.gguf");
  for (const Family family : {Family::kLlama, Family::kMistral}) {
    LoadedModel model = small_model(family, family == Family::kLlama);
    ASSERT_TRUE(export_model(env(), path, model, letters(), {}).ok());
    const auto again = load_gguf_model(env(), path);
    ASSERT_TRUE(again.ok()) << again.status().message();
    expect_equal_weights(*again, model);
    model.config.family = Family::kLlama;
    EXPECT_EQ(again->config, model.config);
  }
}

TEST(GgufModel, AWindowIsNotLostOnTheWay) {
  const TempDir dir;
  LoadedModel model = small_model(Family::kMistral, false);
  model.config.window = 16;
  const auto exported = export_model(env(), dir.file("m.gguf"), model, letters(), {});
  ASSERT_FALSE(exported.ok());
  EXPECT_THAT(exported.status().message(), ::testing::HasSubstr("sliding_window: has no key"));
}

TEST(GgufModel, QuantizedWeightsAreNear) {
  const TempDir dir;
  const std::string path = dir.file("m.gguf");
  const LoadedModel model = small_model(Family::kLlama, false);
  double before = 0;
  for (const BlockType type :
       {BlockType::kF16, BlockType::kBF16, BlockType::kQ8_0, BlockType::kQ4_0}) {
    ASSERT_TRUE(export_model(env(), path, model, letters(), {.type = type}).ok());
    const auto again = load_gguf_model(env(), path);
    ASSERT_TRUE(again.ok()) << again.status().message();
    const auto difference = convert::weight_difference(model, *again).value();
    EXPECT_GT(difference.largest, before);  // each is coarser than the one before
    EXPECT_LT(difference.largest, type == BlockType::kQ4_0 ? 0.6 : 0.03);
    before = difference.largest;
  }
}

/// Counts the most rows that are asked for at once.
class CountingWeights final : public WeightSource {
 public:
  explicit CountingWeights(const WeightSource& from) : from_(from) {}
  const ModelConfig& config() const override { return from_.config(); }
  tensor::DType type(std::size_t index) const override { return from_.type(index); }
  base::Status verify(std::size_t index) const override { return from_.verify(index); }
  base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                    std::byte* to) const override {
    most = std::max(most, n);
    total += n;
    return from_.read(index, first, n, to);
  }
  mutable std::int64_t most = 0, total = 0;

 private:
  const WeightSource& from_;
};

TEST(GgufModel, IsWrittenSomeRowsAtATime) {
  const TempDir dir;
  LoadedModel model = small_model(Family::kLlama, false);
  model.config.vocab_size = 5000;
  std::int64_t rows = 0;
  const auto table = weight_table(model.config);
  for (std::size_t i = 0; i < table.size(); ++i) {
    model.weights[i].resize(static_cast<std::size_t>(table[i].shape.count()), 0.5f);
    rows += table[i].shape[0];
  }
  const test::LoadedWeights whole(model);
  const CountingWeights counting(whole);
  ASSERT_TRUE(convert::export_gguf(env(), dir.file("m.gguf"), counting, letters(), {}).ok());
  EXPECT_EQ(counting.total, rows);
  EXPECT_EQ(counting.most, 65536 / 64);  // 256 KiB as f32
  expect_equal_weights(load_gguf_model(env(), dir.file("m.gguf")).value(), model);
}

TEST(GgufModel, RowsThatAreNoWholeBlocksAreF16) {
  const TempDir dir;
  const auto model = load_model(env(), kStories).value();
  const auto tokenizer = text::Tokenizer::load(env(), kStories).value();
  const auto exported =
      export_model(env(), dir.file("m.gguf"), model, tokenizer, {.type = BlockType::kQ8_0});
  ASSERT_TRUE(exported.ok()) << exported.status().message();
  EXPECT_THAT(exported->in_f16,
              ::testing::ElementsAre("blk.0.ffn_down.weight", "blk.1.ffn_down.weight",
                                     "blk.2.ffn_down.weight", "blk.3.ffn_down.weight",
                                     "blk.4.ffn_down.weight"));
}

TEST(GgufModel, RefusesToExportWhatDoesNotFit) {
  const TempDir dir;
  const std::string path = dir.file("m.gguf");
  LoadedModel model = small_model(Family::kLlama, false);
  const auto fault = [&](const text::Tokenizer& tokenizer) {
    return export_model(env(), path, model, tokenizer, {.type = BlockType::kF16})
        .status()
        .message();
  };
  EXPECT_THAT(fault(text::Tokenizer::bytes()), HasSubstr("seen 256 ids; allowed at most 32"));
  model.weights[0][5] = 1e6f;
  EXPECT_THAT(fault(letters()), AllOf(HasSubstr("embed_tokens"), HasSubstr("too large")));
  model.weights[0][5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(fault(letters()), HasSubstr("not finite"));
  model.weights[0][5] = 0;
  model.config.more_eos_ids = {3, 4, 5};
  EXPECT_THAT(fault(letters()), HasSubstr("eos_token_id"));
  EXPECT_FALSE(env().exists(path));
}

TEST(GgufModel, AFailedExportLeavesTheOldFile) {
  const TempDir dir;
  const std::string path = dir.file("m.gguf");
  ASSERT_TRUE(base::write_file_atomic(env(), path, "old").ok());
  const LoadedModel model = small_model(Family::kLlama, false);
  for (std::int64_t n = 0;; ++n) {
    FaultEnv faults;
    faults.fail_from = n;
    if (export_model(faults, path, model, letters(), {}).ok()) break;
    const std::string content = read_all(path);
    if (content != "old") {
      EXPECT_TRUE(load_gguf_model(env(), path).ok()) << n;
    }
    ASSERT_LT(n, 1000);
  }
  EXPECT_TRUE(load_gguf_model(env(), path).ok());
}

// --- files with a part changed

struct Change {
  std::string drop;  // a key
  std::string add;   // a key with its value
  std::function<void(store::GgufTensor&, std::string&)>
      each;  // of a tensor; an empty name drops it
};

/// The file with the change, its tensors' data where they were.
std::string changed(const std::string& file, const Change& change) {
  const auto header = store::parse_gguf_header(std::as_bytes(std::span(file)), "w").value();
  std::string keys, tensors;
  std::string tail = file.substr(header.data_start);
  std::uint64_t n_keys = change.add.empty() ? 0 : 1, n_tensors = 0;
  for (const auto& [key, value] : header.values) {
    if (key == change.drop) continue;
    std::string bytes(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
    if (value.kind == GgufKind::kString) bytes = gguf_string(bytes);
    if (value.kind == GgufKind::kArray) bytes = gguf_array(value.element, value.count, bytes);
    keys += gguf_key(key, value.kind, bytes);
    ++n_keys;
  }
  for (store::GgufTensor tensor : header.tensors) {
    if (change.each) change.each(tensor, tail);
    if (tensor.name.empty()) continue;
    ++n_tensors;
    tensors += gguf_string(tensor.name) + raw(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::int64_t dim : tensor.dims) tensors += raw(dim);
    tensors += raw(tensor.type_id) + raw(tensor.begin);
  }
  return belay::test::gguf_with_data(
             belay::test::gguf_head(n_tensors, n_keys) + keys + change.add + tensors, 0) +
         tail;
}

std::string u32(std::string_view key, std::uint32_t value) {
  return gguf_key(key, GgufKind::kU32, raw(value));
}
std::string text_key(std::string_view key, std::string_view value) {
  return gguf_key(key, GgufKind::kString, gguf_string(value));
}
std::string f32(std::string_view key, float value) {
  return gguf_key(key, GgufKind::kF32, raw(value));
}

/// What loading the changed file says.
std::string load_fault(const std::string& file, const Change& change) {
  const std::string content = changed(file, change);
  BytesEnv bytes(content);
  const auto model = load_gguf_model(bytes, "w.gguf");
  return model.ok() ? "ok" : model.status().message();
}

std::string small_file(const TempDir& dir) {
  const std::string path = dir.file("m.gguf");
  EXPECT_TRUE(export_model(env(), path, small_model(Family::kLlama, false), letters(), {}).ok());
  return read_all(path);
}

TEST(GgufModel, KeysThatAskForAnotherModelAreNamed) {
  const TempDir dir;
  const std::string file = small_file(dir);
  ASSERT_EQ(load_fault(file, {}), "ok");
  struct Lie {
    std::string drop, add, where, what;
  };
  const std::string kv = "llama.attention.head_count_kv", vocab = "llama.vocab_size";
  const Lie rows[] = {
      {"general.architecture", text_key("general.architecture", "gemma2"), "general.architecture",
       "seen 'gemma2'; allowed llama, qwen2, qwen3"},
      {"general.architecture", "", "general.architecture", "is missing"},
      {"general.type", text_key("general.type", "adapter"), "general.type", "seen 'adapter'"},
      {"", u32("split.count", 2), "split.count", "seen 2"},
      {"", u32("llama.expert_count", 8), "llama.expert_count", "mixture of experts"},
      {"", text_key("llama.rope.scaling.type", "yarn"), "rope.scaling.type", "seen 'yarn'"},
      {"", f32("llama.rope.scaling.factor", 4), "rope.scaling.factor", "seen 4"},
      {"", f32("llama.rope.scale_linear", 4), "rope.scale_linear", "seen 4"},
      {"", u32("llama.attention.sliding_window", 16), "sliding_window",
       "seen 16; allowed at least"},
      {"", f32("llama.logit_scale", 2), "llama.logit_scale", "is not known"},
      {"", u32("llama.attention.head_cout", 2), "head_cout", "allowed llama.attention.head_count"},
      {"", gguf_key("llama.attention.causal", GgufKind::kBool, std::string(1, '\0')),
       "attention.causal", "seen false"},
      {kv, gguf_key(kv, GgufKind::kArray, gguf_array(GgufKind::kI32, 2, raw(2) + raw(2))), kv,
       "layer to layer"},
      {kv, u32(kv, 3), "num_key_value_heads", "seen 3"},
      {kv, gguf_key(kv, GgufKind::kI32, raw(-2)), kv, "seen -2; allowed 1 to 1024"},
      {vocab, u32(vocab, 31), vocab, "seen 31; allowed 32"},
      {"llama.block_count", "", "llama.block_count", "is missing"},
      {"llama.block_count", u32("llama.block_count", 2), "'blk.1.attn_norm.weight'", "is missing"},
      {"llama.block_count", u32("llama.block_count", 1025), "llama.block_count", "seen 1025"},
      {"llama.embedding_length", u32("llama.embedding_length", 128), "token_embd", "seen [64, 32]"},
      {"llama.rope.dimension_count", u32("llama.rope.dimension_count", 8), "dimension_count",
       "seen 8; allowed 16"},
      {"llama.rope.freq_base", f32("llama.rope.freq_base", NAN), "freq_base", "seen nan"},
      {"llama.rope.freq_base", u32("llama.rope.freq_base", 10000), "freq_base",
       "not a real number"},
      {"tokenizer.ggml.eos_token_id", u32("tokenizer.ggml.eos_token_id", 32), "eos_token_id",
       "seen 32; allowed 0 to 31"},
  };
  for (const Lie& row : rows) {
    EXPECT_THAT(load_fault(file, {.drop = row.drop, .add = row.add, .each = {}}),
                AllOf(HasSubstr("w.gguf: "), HasSubstr(row.where), HasSubstr(row.what)));
  }
}

TEST(GgufModel, TensorsThatAreWrongAreNamed) {
  const TempDir dir;
  const std::string file = small_file(dir);
  struct Lie {
    std::string name;
    std::function<void(store::GgufTensor&, std::string&)> change;
    std::string what;
  };
  const Lie rows[] = {
      {"blk.0.attn_k.weight", [](auto& t, auto&) { t.name.clear(); }, "is missing"},
      {"blk.0.attn_k.weight", [](auto& t, auto&) { t.name = "blk.0.attn_kk.weight"; },
       "is missing"},
      {"output.weight", [](auto& t, auto&) { t.name = "outputs"; }, "'outputs': is not part"},
      {"blk.0.attn_k.weight", [](auto& t, auto&) { std::swap(t.dims[0], t.dims[1]); },
       "dimensions: are not what the keys ask for (seen [32, 64]; allowed [64, 32])"},
      {"blk.0.attn_k.weight", [](auto& t, auto&) { t.type_id = 26; },
       "type: cannot be computed with (seen I32; allowed F32, F16, BF16, Q8_0"},
      {"blk.0.attn_k.weight", [](auto& t, auto&) { t.type_id = 20; }, "seen IQ4_NL"},
      {"blk.0.attn_k.weight", [](auto& t, auto&) { t.type_id = 77; }, "seen number 77"},
      {"blk.0.attn_k.weight",
       [](auto& t, auto& tail) {
         tail.replace(t.begin + 4, 4, raw(std::numeric_limits<float>::infinity()));
       },
       "not finite (seen inf at element 1"},
  };
  for (const Lie& row : rows) {
    const auto each = [&](store::GgufTensor& t, std::string& tail) {
      if (t.name == row.name) row.change(t, tail);
    };
    EXPECT_THAT(load_fault(file, {.drop = {}, .add = {}, .each = each}),
                AllOf(HasSubstr("w.gguf: tensor"), HasSubstr(row.what)));
  }
  FaultEnv little;
  little.available_memory = 1000;
  EXPECT_THAT(load_gguf_model(little, dir.file("m.gguf")).status().message(),
              HasSubstr("do not fit in memory"));
}

TEST(GgufModel, Llama3ScalingComesFromTheFactorsAlone) {
  const TempDir dir;
  const std::string path = dir.file("m.gguf");
  LoadedModel model = small_model(Family::kLlama, false);
  model.config.max_position = 131072;
  model.config.rope_theta = 500000;
  model.config.llama3_rope = {
      .factor = 32, .low_freq_factor = 1, .high_freq_factor = 4, .original_max_position = 8192};
  ASSERT_TRUE(export_model(env(), path, model, letters(), {}).ok());
  const std::string file =
      changed(read_all(path), {.drop = "belay.rope.llama3.factor", .add = {}, .each = {}});
  const std::string bare =
      changed(file, {.drop = "llama.rope.scaling.original_context_length", .add = {}, .each = {}});
  BytesEnv bytes(bare);
  const auto again = load_gguf_model(bytes, "w.gguf");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->config.llama3_rope, model.config.llama3_rope);
  const auto other = [](store::GgufTensor& t, std::string& tail) {
    if (t.name == "rope_freqs.weight") tail.replace(t.begin + 4 * 5, 4, raw(3.0f));
  };
  EXPECT_THAT(load_fault(bare, {.drop = {}, .add = {}, .each = other}),
              AllOf(HasSubstr("'rope_freqs.weight'"), HasSubstr("other factors")));
}

}  // namespace
}  // namespace belay::model
