#include "base/json.h"
#include "model/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "model/weights.h"

namespace belay::model {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json base_config(Family family) {
  json j = {{"architectures", {architecture(family)}},
            {"model_type", model_type(family)},
            {"vocab_size", 320},
            {"hidden_size", 64},
            {"intermediate_size", 160},
            {"num_hidden_layers", 3},
            {"num_attention_heads", 8},
            {"num_key_value_heads", 2},
            {"max_position_embeddings", 512},
            {"rms_norm_eps", 1e-5},
            {"rope_theta", 500000.0}};
  if (family == Family::kQwen3) j["head_dim"] = 16;
  if (family == Family::kMistral) j["sliding_window"] = nullptr;
  return j;
}

/// The base config with the fields of `patch` put in; a field of value "<gone>" is taken out.
json patched(Family family, const json& patch) {
  json j = base_config(family);
  for (const auto& [key, value] : patch.items()) {
    if (value == "<gone>")
      j.erase(key);
    else
      j[key] = value;
  }
  return j;
}

std::string fault(const json& config) {
  const auto result = parse_config(config.dump(), "config.json");
  return result.ok() ? "ok" : result.status().message();
}

struct Row {
  Family family;
  json patch;
  std::string message;  // "ok", or a part of the message that begins with config.json
};

using F = Family;
const Row kRefused[] = {
    {F::kLlama, {{"hidden_act", "gelu"}}, "hidden_act: is not implemented (seen 'gelu'; allowed"},
    {F::kLlama,
     {{"architectures", {"GemmaForCausalLM"}}},
     "architectures: names a model that is not"},
    {F::kLlama, {{"architectures", {"LlamaModel"}}}, "architectures: names a model"},
    {F::kLlama, {{"architectures", json::array()}}, "architectures: names a model"},
    {F::kLlama, {{"architectures", "LlamaForCausalLM"}}, "architectures: is not an array"},
    {F::kLlama, {{"model_type", "mistral"}}, "model_type: contradicts architectures"},
    {F::kLlama, {{"architectures", "<gone>"}, {"model_type", "phi3"}}, "model_type: names a model"},
    {F::kLlama,
     {{"architectures", "<gone>"}, {"model_type", "<gone>"}},
     "architectures: is missing"},
    {F::kLlama, {{"pretraining_tp", 2}}, "pretraining_tp: has a value that is not implemented"},
    {F::kLlama, {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor: has a value"},
    {F::kLlama, {{"rope_interleaved", true}}, "rope_interleaved: has a value"},
    {F::kLlama, {{"quantization_config", {{"bits", 4}}}}, "quantization_config: has a value"},
    {F::kLlama, {{"auto_map", {{"AutoModel", "x.py"}}}}, "auto_map: has a value"},
    {F::kLlama, {{"hiden_size", 64}}, "hiden_size: is not a known key, and it may change"},
    {F::kLlama, {{"hiden_size", 64}}, "did you mean hidden_size?"},
    {F::kLlama, {{"logit_scale", 0.1}}, "logit_scale: is not a known key"},
    {F::kLlama, {{"a\u001b[2J", 1}}, "'a\\x1b[2J': is not a known key"},
    {F::kLlama, {{"sliding_window", 512}}, "sliding_window: is not what this family computes"},
    {F::kMistral, {{"sliding_window", 0}}, "sliding_window: is out of range"},
    {F::kMistral, {{"attention_bias", true}}, "attention_bias: is not what this family computes"},
    {F::kMistral, {{"mlp_bias", true}}, "mlp_bias: is not what this family computes"},
    {F::kMistral, {{"num_key_value_heads", "<gone>"}}, "num_key_value_heads: is missing"},
    {F::kQwen2, {{"use_sliding_window", true}}, "use_sliding_window: asks for"},
    {F::kQwen2, {{"attention_bias", false}}, "attention_bias: is not what this family computes"},
    {F::kQwen2, {{"use_mrope", true}}, "use_mrope: has a value"},
    {F::kQwen3,
     {{"layer_types", {"full_attention", "sliding_attention", "full_attention"}}},
     "layer_types: asks for other layers"},
    {F::kQwen3, {{"layer_types", {"full_attention"}}}, "layer_types: has another number"},
    {F::kQwen3, {{"head_dim", nullptr}}, "head_dim: is null"},
    {F::kLlama,
     {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
     "rope_scaling.type: is a scaling that is not implemented (seen 'linear'"},
    {F::kLlama,
     {{"rope_scaling", {{"rope_type", "yarn"}}}},
     "rope_scaling.rope_type: is a scaling"},
    {F::kLlama, {{"rope_scaling", {{"rope_type", "llama3"}}}}, "rope_scaling.factor: is missing"},
    {F::kLlama,
     {{"rope_scaling", {{"rope_type", "default"}, {"factor", 2.0}}}},
     "rope_scaling.factor: has no meaning"},
    {F::kLlama,
     {{"rope_scaling", {{"rope_type", "default"}, {"mscale", 2.0}}}},
     "rope_scaling.mscale: is not a known key"},
    {F::kLlama,
     {{"rope_scaling", {{"rope_type", "default"}, {"type", "linear"}}}},
     "rope_scaling.type: contradicts rope_type"},
    {F::kLlama, {{"rope_scaling", 2}}, "rope_scaling: is not a JSON object"},
    {F::kLlama, {{"rope_parameters", {{"rope_theta", 1e4}}}}, "rope_theta: contradicts"},
    {F::kLlama,
     {{"rope_parameters", {{"partial_rotary_factor", 0.5}}}},
     "rope_parameters.partial_rotary_factor: has a value"},
    {F::kLlama,
     {{"rope_parameters", {{"rope_type", "default"}}},
      {"rope_scaling", {{"rope_type", "default"}}}},
     "rope_scaling: is given beside"},
};

TEST(Config, EveryChangeOfTheComputationIsRefusedByName) {
  for (const Row& row : kRefused) {
    EXPECT_THAT(fault(patched(row.family, row.patch)),
                AllOf(HasSubstr("config.json: "), HasSubstr(row.message)))
        << row.patch.dump();
  }
}

TEST(Config, EverySizeHasARange) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "max_position_embeddings", "num_key_value_heads", "head_dim"}) {
    for (const json& value : {json(0), json(-8), json(int64_t{1} << 40), json(UINT64_MAX),
                              json(8.0), json("8"), json(true), json::array({8})}) {
      EXPECT_THAT(fault(patched(Family::kLlama, {{key, value}})),
                  HasSubstr("config.json: " + std::string(key) + ": is "))
          << value.dump();
    }
    if (std::string(key) == "head_dim" || std::string(key) == "num_key_value_heads") continue;
    EXPECT_EQ(fault(patched(Family::kLlama, {{key, "<gone>"}})),
              "config.json: " + std::string(key) + ": is missing");
  }
  EXPECT_THAT(fault(patched(Family::kLlama, {{"num_key_value_heads", 3}})),
              HasSubstr("num_key_value_heads: is out of range (seen 3; allowed a divisor"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"num_key_value_heads", 16}})), HasSubstr("1 to 8"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"head_dim", 7}})), HasSubstr("an even number"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"hidden_size", 65}})),
              HasSubstr("hidden_size: is not a multiple of num_attention_heads"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"rope_theta", 0}})),
              HasSubstr("rope_theta: is out of"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"rope_theta", -1e300}})), HasSubstr("rope_theta"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"rms_norm_eps", 1.0}})), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"bos_token_id", 320}})), HasSubstr("bos_token_id"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"eos_token_id", {1, -1}}})),
              HasSubstr("eos_token_id[1]: is out of range (seen -1; allowed 0 to 319)"));
  EXPECT_THAT(fault(patched(Family::kLlama, {{"tie_word_embeddings", 1}})),
              HasSubstr("true or false"));
}

TEST(Config, TheLargestSizesDoNotOverflow) {
  ModelConfig c;
  c.vocab_size = kVocabRange.max;
  c.hidden_size = kHiddenRange.max;
  c.ffn_size = kFfnRange.max;
  c.n_layers = kLayerRange.max;
  c.n_heads = c.n_kv_heads = kHeadRange.max;
  c.head_dim = kHeadDimRange.max;
  c.max_position = kPositionRange.max;
  ASSERT_TRUE(validate(c, "x").ok());
  EXPECT_GT(c.n_params(), std::int64_t{1} << 48);
  EXPECT_LT(c.n_params(), std::int64_t{1} << 60);
}

TEST(Config, BookkeepingIsAccepted) {
  EXPECT_EQ(fault(patched(Family::kLlama, {{"torch_dtype", "bfloat16"},
                                           {"transformers_version", "4.40.1"},
                                           {"use_cache", true},
                                           {"attention_dropout", 0.1},
                                           {"pad_token_id", -1},
                                           {"is_llama_config", true},
                                           {"rope_interleaved", false},
                                           {"pretraining_tp", 1},
                                           {"partial_rotary_factor", 1.0},
                                           {"quantization_config", nullptr},
                                           {"some_future_key", nullptr}})),
            "ok");
  EXPECT_EQ(fault(patched(Family::kQwen2, {{"use_sliding_window", false},
                                           {"sliding_window", 128},
                                           {"max_window_layers", 1},
                                           {"use_mrope", false}})),
            "ok");
  EXPECT_EQ(fault(patched(Family::kMistral, {{"sliding_window", 512}})), "ok");
  EXPECT_EQ(fault(patched(Family::kMistral, {{"sliding_window", "<gone>"}})), "ok");
}

TEST(Config, AWindowThatPositionsReachPast) {
  const auto window = [](const json& changes) {
    const auto read = parse_config(patched(Family::kMistral, changes).dump(), "config.json");
    EXPECT_TRUE(read.ok()) << read.status().message();
    const auto again = parse_config(to_json(*read), "config.json");
    EXPECT_TRUE(again.ok() && *again == *read);
    return read->window;
  };
  EXPECT_EQ(window({{"sliding_window", 511}}), 511);
  EXPECT_EQ(window({{"sliding_window", 512}}), 0);
  EXPECT_EQ(window({{"sliding_window", nullptr}}), 0);
  EXPECT_EQ(window({{"sliding_window", "<gone>"}, {"max_position_embeddings", 4097}}), 4096);
}

TEST(Config, DefaultsAreThoseOfTheFamily) {
  const auto llama = parse_config(patched(Family::kLlama, {{"num_key_value_heads", "<gone>"},
                                                           {"rms_norm_eps", "<gone>"},
                                                           {"rope_theta", "<gone>"}})
                                      .dump(),
                                  "c");
  ASSERT_TRUE(llama.ok()) << llama.status().message();
  EXPECT_EQ(llama->n_kv_heads, 8);
  EXPECT_EQ(llama->head_dim, 8);
  EXPECT_EQ(llama->norm_eps, 1e-6f);
  EXPECT_EQ(llama->rope_theta, 10000);
  EXPECT_FALSE(llama->tied_embeddings || llama->qkv_bias || llama->qk_norm);
  EXPECT_EQ(llama->bos_id, -1);
  const auto qwen2 = parse_config(base_config(Family::kQwen2).dump(), "c");
  EXPECT_TRUE(qwen2->qkv_bias && !qwen2->out_bias && !qwen2->qk_norm);
  const auto qwen3 = parse_config(patched(Family::kQwen3, {{"head_dim", "<gone>"}}).dump(), "c");
  EXPECT_EQ(qwen3->head_dim, 128);
  EXPECT_TRUE(qwen3->qk_norm);
  const auto biased = parse_config(patched(Family::kLlama, {{"attention_bias", true}}).dump(), "c");
  EXPECT_TRUE(biased->qkv_bias && biased->out_bias);
}

TEST(Config, BothRopeFormsAreRead) {
  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 32.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 256}};
  const auto v4 = parse_config(patched(Family::kLlama, {{"rope_scaling", llama3}}).dump(), "c");
  ASSERT_TRUE(v4.ok()) << v4.status().message();
  json with_theta = llama3;
  with_theta["rope_theta"] = 500000.0;
  const auto v5 = parse_config(
      patched(Family::kLlama, {{"rope_parameters", with_theta}, {"rope_theta", "<gone>"}}).dump(),
      "c");
  ASSERT_TRUE(v5.ok()) << v5.status().message();
  EXPECT_EQ(*v4, *v5);
  EXPECT_EQ(v4->llama3_rope->factor, 32);
  EXPECT_EQ(v4->llama3_rope->original_max_position, 256);
}

TEST(Config, WritingAndReadingGivesTheSame) {
  for (const Family family : {Family::kLlama, Family::kMistral, Family::kQwen2, Family::kQwen3}) {
    json patch = {{"tie_word_embeddings", true}, {"eos_token_id", {1, 2, 3}}, {"bos_token_id", 0}};
    if (family == Family::kLlama) {
      patch["attention_bias"] = patch["mlp_bias"] = true;
      patch["head_dim"] = 6;
      patch["rope_scaling"] = {{"rope_type", "llama3"},
                               {"factor", 8.0},
                               {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0},
                               {"original_max_position_embeddings", 256}};
    }
    const auto config = parse_config(patched(family, patch).dump(), "c");
    ASSERT_TRUE(config.ok()) << config.status().message();
    const auto again = parse_config(to_json(*config), "again");
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*config, *again);
    EXPECT_THAT(again->more_eos_ids, ElementsAre(2, 3));
    EXPECT_EQ(base::json_value(to_json(*config))["rms_norm_eps"].dump(), "1e-05");
    EXPECT_EQ(base::json_value(to_json(*config, tensor::DType::kBF16))["torch_dtype"], "bfloat16");
  }
}

TEST(Config, AConfigThatNoFamilyCanSayIsNotWritten) {
  ModelConfig c;
  c.mlp_bias = true;  // Qwen3 has none
  EXPECT_THAT(validate(c, "options").message(),
              HasSubstr("Qwen3ForCausalLM cannot have MLP biases"));
  EXPECT_THROW((void)to_json(c), std::logic_error);
}

TEST(WeightTable, CountsAndNames) {
  const auto c =
      parse_config(patched(Family::kQwen3, {{"tie_word_embeddings", false}}).dump(), "c");
  ASSERT_TRUE(c.ok()) << c.status().message();
  const auto table = weight_table(*c);
  // C 64, F 160, V 320, H 8, Hkv 2, D 16
  const std::int64_t layer =
      64 + (128 + 32 + 32) * 64 + 16 + 16 + 64 * 128 + 64 + 2 * 160 * 64 + 64 * 160;
  EXPECT_EQ(c->n_params(), 320 * 64 + 3 * layer + 64 + 320 * 64);
  EXPECT_EQ(c->train_flops_per_token(100),
            6.0 * static_cast<double>(c->n_params()) + 6.0 * 3 * 128 * 100);
  EXPECT_EQ(table.front().role, Role::kEmbedding);
  EXPECT_EQ(table.back().name(), "lm_head.weight");
  const WeightSpec& qkv = table[static_cast<std::size_t>(find_weight(table, Role::kQkv, 2))];
  ASSERT_EQ(qkv.parts.size(), 3u);
  EXPECT_EQ(qkv.shape, (tensor::Shape{192, 64}));
  EXPECT_EQ(qkv.parts[1].hf_name, "model.layers.2.self_attn.k_proj.weight");
  EXPECT_EQ(qkv.parts[1].gguf_name, "blk.2.attn_k.weight");
  EXPECT_EQ(qkv.parts[1].row, 128);
  EXPECT_EQ(qkv.parts[2].row, 160);
  EXPECT_TRUE(qkv.decay && qkv.muon);
  EXPECT_EQ(qkv.init_std, 0.02);
  const WeightSpec& down = table[static_cast<std::size_t>(find_weight(table, Role::kDown, 0))];
  EXPECT_DOUBLE_EQ(down.init_std, 0.02 / std::sqrt(6.0));
  EXPECT_FALSE(table.front().muon || table.back().muon);
  EXPECT_EQ(find_weight(table, Role::kQkvBias, 0), -1);
  EXPECT_EQ(find_weight(table, Role::kQkv), -1);
  const auto llama = parse_config(
      patched(Family::kLlama, {{"attention_bias", true}, {"mlp_bias", true}}).dump(), "c");
  const auto biased = weight_table(*llama);
  for (const Role role : {Role::kQkvBias, Role::kAttnOutBias, Role::kGateUpBias, Role::kDownBias}) {
    const int i = find_weight(biased, role, 1);
    ASSERT_GE(i, 0);
    EXPECT_EQ(biased[static_cast<std::size_t>(i)].init, Init::kZeros);
    EXPECT_THAT(biased[static_cast<std::size_t>(i)].name(), HasSubstr(".bias"));
  }
}

}  // namespace
}  // namespace belay::model
