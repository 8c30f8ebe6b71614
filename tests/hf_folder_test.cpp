#include "model/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "fault_env.h"
#include "model/config_json.h"
#include "model/weights.h"
#include "store/safetensors.h"
#include "store/safetensors_writer.h"
#include "test_data.h"

namespace belay::model {
namespace {

using base::Code;
using base::Env;
using belay::test::FaultEnv;
using belay::test::TempDir;
using test::data;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

LoadedModel folder_model(Family family, std::uint64_t seed, bool tied = true) {
  LoadedModel model;
  ModelConfig& c = model.config;
  c.family = family;
  c.qk_norm = family == Family::kQwen3;
  c.qkv_bias = family == Family::kQwen2;
  c.tied_embeddings = tied;
  c.vocab_size = 32;
  c.hidden_size = 16;
  c.ffn_size = 24;
  c.n_layers = 2;
  c.n_heads = 4;
  c.n_kv_heads = 2;
  c.head_dim = 6;
  const base::Rng rng(seed, base::Purpose::kTest);
  std::uint64_t i = 0;
  for (const WeightSpec& spec : weight_table(c)) {
    model.weights.emplace_back(static_cast<std::size_t>(spec.shape.count()));
    for (float& value : model.weights.back()) value = rng.normal(i++);
  }
  return model;
}

std::string load_fault(const std::string& path) {
  const auto model = load_hf_folder(Env::posix(), path);
  return model.ok() ? "ok" : model.status().message();
}

TEST(HfFolder, LoadsATrainedModel) {
  const auto model = load_hf_folder(Env::posix(), data("stories260K"));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->config.family, Family::kLlama);
  EXPECT_EQ(model->config.n_params(), 260'032);
  const auto table = weight_table(model->config);
  const auto files = store::TensorFiles::open(Env::posix(), data("stories260K"));
  // The rows of v stand below those of q and k.
  std::vector<float> v(32 * 64);
  ASSERT_TRUE(files->read_f32("model.layers.3.self_attn.v_proj.weight", v).ok());
  const auto& qkv = model->weights[static_cast<std::size_t>(find_weight(table, Role::kQkv, 3))];
  EXPECT_EQ(std::memcmp(qkv.data() + (64 + 32) * 64, v.data(), v.size() * 4), 0);
  EXPECT_EQ(load_fault(data("stories260K/model.safetensors")), "ok");
}

TEST(HfFolder, LoadsModelsThatAnotherProgramWrote) {
  for (const char* name : {"qwen3_tiny", "qwen2_tiny", "llama3_tiny"}) {
    EXPECT_EQ(load_fault(data(std::string("models/") + name)), "ok");
  }
}

TEST(HfFolder, SavesAndLoadsEveryFamilyToTheBit) {
  for (const Family family : {Family::kLlama, Family::kMistral, Family::kQwen2, Family::kQwen3}) {
    for (const bool tied : {true, false}) {
      const TempDir dir;
      const LoadedModel model = folder_model(family, 1, tied);
      ASSERT_TRUE(save_hf_folder(Env::posix(), dir.path(), model).ok());
      const auto again = load_hf_folder(Env::posix(), dir.path());
      ASSERT_TRUE(again.ok()) << again.status().message();
      EXPECT_EQ(again->config, model.config);
      EXPECT_EQ(again->weights, model.weights);
    }
  }
}

TEST(HfFolder, SavesTheTrainedModelAgain) {
  const auto model = load_hf_folder(Env::posix(), data("stories260K"));
  const TempDir dir;
  ASSERT_TRUE(save_hf_folder(Env::posix(), dir.path(), *model).ok());
  const auto again = load_hf_folder(Env::posix(), dir.path());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->config, model->config);
  EXPECT_EQ(again->weights, model->weights);
}

TEST(HfFolder, Bf16IsRoundedToNearest) {
  const TempDir dir;
  const LoadedModel model = folder_model(Family::kQwen3, 2);
  ASSERT_TRUE(
      save_hf_folder(Env::posix(), dir.path(), model, {.dtype = tensor::DType::kBF16}).ok());
  const auto again = load_hf_folder(Env::posix(), dir.path());
  ASSERT_TRUE(again.ok()) << again.status().message();
  for (std::size_t i = 0; i < model.weights.size(); ++i) {
    for (std::size_t j = 0; j < model.weights[i].size(); ++j) {
      ASSERT_EQ(again->weights[i][j], tensor::to_float(tensor::to_bf16(model.weights[i][j])));
    }
  }
}

TEST(HfFolder, ShardsHoldTheSameModelAndReplaceEachOther) {
  const TempDir dir;
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    const LoadedModel model = folder_model(Family::kQwen3, seed, false);
    const std::uint64_t limit = seed == 1 ? 4000 : seed == 2 ? 9000 : seed == 3 ? 1 << 30 : 1;
    ASSERT_TRUE(save_hf_folder(Env::posix(), dir.path(), model, {.max_shard_bytes = limit}).ok());
    const auto again = load_hf_folder(Env::posix(), dir.path());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->weights, model.weights);
    if (seed == 3) {
      EXPECT_THAT(
          *Env::posix().list_dir(dir.path()),
          UnorderedElementsAre("config.json", "generation_config.json", "model.safetensors"));
    }
  }
}

TEST(HfFolder, EndOfTextIdsComeFromBothFiles) {
  const TempDir dir;
  LoadedModel model = folder_model(Family::kQwen2, 1);
  model.config.eos_id = 5;
  ASSERT_TRUE(save_hf_folder(Env::posix(), dir.path(), model).ok());
  const std::string path = dir.file("generation_config.json");
  ASSERT_TRUE(base::write_file_atomic(Env::posix(), path, R"({"eos_token_id": [5, 7]})").ok());
  const auto config = load_hf_config(Env::posix(), dir.path());
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->eos_id, 5);
  EXPECT_THAT(config->more_eos_ids, ElementsAre(7));
  ASSERT_TRUE(base::write_file_atomic(Env::posix(), path, R"({"eos_token_id": 32})").ok());
  EXPECT_THAT(load_fault(dir.path()), HasSubstr("generation_config.json: eos_token_id: is out of"));
}

/// Saves a small model, lets `change` alter its tensors, and gives the message of loading it.
std::string fault_after(Family family, bool tied,
                        const std::function<void(std::vector<store::TensorToWrite>&)>& change) {
  const TempDir dir;
  const LoadedModel model = folder_model(family, 1, tied);
  EXPECT_TRUE(save_hf_folder(Env::posix(), dir.path(), model).ok());
  std::vector<store::TensorToWrite> tensors;
  std::vector<std::vector<float>> values;
  {
    const auto files = store::TensorFiles::open(Env::posix(), dir.path());
    for (const auto& info : files->list()) {
      values.emplace_back(static_cast<std::size_t>(info.count));
      EXPECT_TRUE(files->read_f32(info.name, values.back()).ok());
      tensors.push_back({info.name, tensor::DType::kF32, info.shape, {}});
    }
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].values = values[i];
  change(tensors);
  EXPECT_TRUE(store::write_safetensors(Env::posix(), dir.file("model.safetensors"), tensors).ok());
  return load_fault(dir.path());
}

store::TensorToWrite& named(std::vector<store::TensorToWrite>& tensors, const std::string& name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](auto& t) { return t.name == name; });
}

TEST(HfFolder, WrongTensorsAreNamed) {
  using Tensors = std::vector<store::TensorToWrite>;
  const std::string norm = "model.layers.1.post_attention_layernorm.weight";
  const std::string up = "model.layers.0.mlp.up_proj.weight";
  EXPECT_THAT(
      fault_after(Family::kQwen3, true,
                  [&](Tensors& t) { std::erase_if(t, [&](auto& x) { return x.name == norm; }); }),
      HasSubstr("tensor '" + norm + "': is missing (allowed shape [16])"));
  EXPECT_THAT(fault_after(Family::kQwen3, true,
                          [&](Tensors& t) {
                            named(t, up).shape = {16, 24};
                          }),
              HasSubstr("tensor '" + up +
                        "': shape: is not what config.json asks for (seen [16, 24]; "
                        "allowed [24, 16])"));
  EXPECT_THAT(fault_after(Family::kQwen3, true,
                          [&](Tensors& t) { named(t, norm).name = "model.norm.bias"; }),
              HasSubstr(norm));
  const std::vector<float> extra(16);
  EXPECT_THAT(
      fault_after(
          Family::kQwen3, true,
          [&](Tensors& t) {
            t.push_back(
                {"model.layers.2.input_layernorm.weight", tensor::DType::kF32, {16}, extra});
          }),
      AllOf(HasSubstr("'model.layers.2.input_layernorm.weight'"), HasSubstr("is not part of")));
  std::vector<float> nan(16, 1.0f);
  nan[3] = NAN;
  EXPECT_THAT(fault_after(Family::kQwen3, true, [&](Tensors& t) { named(t, norm).values = nan; }),
              AllOf(HasSubstr("'" + norm + "'"), HasSubstr("not finite (seen nan at element 3")));
}

TEST(HfFolder, RotaryBuffersAreIgnored) {
  const std::vector<float> buffer(3);
  EXPECT_EQ(fault_after(Family::kLlama, true,
                        [&](auto& t) {
                          t.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq",
                                       tensor::DType::kF32,
                                       {3},
                                       buffer});
                        }),
            "ok");
}

TEST(HfFolder, ATiedModelMayRepeatItsEmbedding) {
  const auto repeat = [](std::vector<store::TensorToWrite>& t) {
    store::TensorToWrite head = named(t, "model.embed_tokens.weight");
    head.name = "lm_head.weight";
    t.push_back(head);
  };
  EXPECT_EQ(fault_after(Family::kLlama, true, repeat), "ok");
  const std::vector<float> other(32 * 16, 0.5f);
  EXPECT_THAT(fault_after(Family::kLlama, true,
                          [&](auto& t) {
                            repeat(t);
                            t.back().values = other;
                          }),
              HasSubstr("'lm_head.weight': differs from the embedding"));
  EXPECT_THAT(fault_after(Family::kLlama, false,
                          [&](auto& t) {
                            std::erase_if(t, [](auto& x) { return x.name == "lm_head.weight"; });
                          }),
              HasSubstr("'lm_head.weight': is missing"));
}

TEST(HfFolder, AModelThatDoesNotFitIsRefusedBeforeItIsRead) {
  FaultEnv env;
  env.available_memory = 1'000'000;
  const auto model = load_hf_folder(env, data("stories260K"));
  EXPECT_EQ(model.status().code(), Code::kResource);
  EXPECT_THAT(model.status().message(), AllOf(HasSubstr("stories260K: the weights do not fit"),
                                              HasSubstr("allowed 977 KiB available")));
  env.available_memory = 1'040'128;
  EXPECT_TRUE(load_hf_folder(env, data("stories260K")).ok());
}

TEST(HfFolder, MissingPartsAreNamed) {
  const TempDir dir;
  EXPECT_THAT(load_fault(dir.path()), HasSubstr(dir.file("config.json")));
  EXPECT_THAT(load_fault(dir.file("gone")),
              AllOf(HasSubstr(dir.file("gone")), HasSubstr("not exist")));
  ASSERT_TRUE(base::write_file_atomic(Env::posix(), dir.file("config.json"),
                                      to_json(folder_model(Family::kQwen3, 1).config))
                  .ok());
  EXPECT_THAT(load_fault(dir.path()), HasSubstr(dir.path() + ": has no weights"));
}

TEST(HfFolder, WeightsThatAreNotFiniteAreNotSaved) {
  const TempDir dir;
  LoadedModel model = folder_model(Family::kQwen3, 1);
  model.weights[3][2] = INFINITY;
  EXPECT_THAT(save_hf_folder(Env::posix(), dir.path(), model).message(),
              HasSubstr("inf at element 2"));
  model.weights[3][2] = 3.4e38f;
  EXPECT_TRUE(save_hf_folder(Env::posix(), dir.path(), model).ok());
  EXPECT_THAT(
      save_hf_folder(Env::posix(), dir.path(), model, {.dtype = tensor::DType::kBF16}).message(),
      HasSubstr("too large for bf16"));
}

// A crash at any change to the disk, while one model is saved over another, leaves a folder that
// loads as the old model, as the new one, or not at all.
void crash_everywhere(bool same_config, std::uint64_t old_limit, std::uint64_t new_limit) {
  const LoadedModel old_model = folder_model(Family::kQwen3, 1);
  LoadedModel new_model = folder_model(Family::kQwen3, 2);
  if (!same_config) new_model.config.rope_theta = 5e5;
  bool done = false;
  for (std::int64_t n = 0; !done; ++n) {
    ASSERT_LT(n, 1000);
    const TempDir dir;
    FaultEnv env;
    ASSERT_TRUE(save_hf_folder(env, dir.path(), old_model, {.max_shard_bytes = old_limit}).ok());
    env.fail_from = env.changes + n;
    done = save_hf_folder(env, dir.path(), new_model, {.max_shard_bytes = new_limit}).ok();
    const auto found = load_hf_folder(Env::posix(), dir.path());
    if (!found.ok()) {
      EXPECT_FALSE(done);
      EXPECT_THAT(found.status().message(), HasSubstr("config.json: cannot open"));
      continue;
    }
    const bool is_new = found->weights == new_model.weights && found->config == new_model.config;
    const bool is_old = found->weights == old_model.weights && found->config == old_model.config;
    EXPECT_TRUE(is_new || (is_old && !done)) << n;
  }
}

TEST(HfFolder, ACrashLeavesOldOrNewNeverAMixture) {
  constexpr std::uint64_t kOne = 1 << 30, kMany = 9000;
  crash_everywhere(true, kOne, kOne);
  crash_everywhere(false, kOne, kOne);
  crash_everywhere(true, kMany, kMany);
  crash_everywhere(true, kOne, kMany);
  crash_everywhere(true, kMany, kOne);
}

}  // namespace
}  // namespace belay::model
