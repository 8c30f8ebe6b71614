// save_hf_folder: the writing half of hf_folder.h.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/config_json.h"
#include "model/hf_folder.h"
#include "model/weights.h"
#include "store/safetensors.h"
#include "store/safetensors_writer.h"

namespace belay::model {
namespace {

using base::Env;
using base::Status;
using store::TensorToWrite;

constexpr std::string_view kConfig = "config.json";
constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

struct Shard {
  std::string name;
  std::vector<TensorToWrite> tensors;
  std::uint64_t bytes = 0;
};

std::vector<TensorToWrite> list_tensors(const std::vector<WeightSpec>& table,
                                        std::span<const std::span<const float>> weights,
                                        tensor::DType dtype) {
  std::vector<TensorToWrite> tensors;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const WeightSpec& spec = table[i];
    const bool matrix = spec.shape.rank() == 2;
    const std::int64_t width = matrix ? spec.shape.last() : 1;
    for (const WeightPart& part : spec.parts) {
      TensorToWrite t{.name = part.hf_name, .dtype = dtype, .shape = {part.rows}};
      if (matrix) t.shape.push_back(width);
      t.values = weights[i].subspan(static_cast<std::size_t>(part.row * width),
                                    static_cast<std::size_t>(part.rows * width));
      tensors.push_back(std::move(t));
    }
  }
  return tensors;
}

/// Fills shards in order; a tensor that is larger than the limit has one to itself.
std::vector<Shard> split(std::vector<TensorToWrite> tensors, std::uint64_t max_bytes) {
  std::vector<Shard> shards(1);
  for (TensorToWrite& t : tensors) {
    const auto bytes = t.values.size() * static_cast<std::uint64_t>(tensor::dtype_bytes(t.dtype));
    if (!shards.back().tensors.empty() && shards.back().bytes + bytes > max_bytes) {
      shards.emplace_back();
    }
    shards.back().bytes += bytes;
    shards.back().tensors.push_back(std::move(t));
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shards.size() == 1
                         ? std::string(kSingle)
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

std::string index_json(const std::vector<Shard>& shards) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::uint64_t total = 0;
  for (const Shard& shard : shards) {
    total += shard.bytes;
    for (const TensorToWrite& t : shard.tensors) map[t.name] = shard.name;
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total}}},
                                        {"weight_map", std::move(map)}};
  return index.dump(2) + "\n";
}

std::string generation_json(const ModelConfig& c) {
  nlohmann::ordered_json j = nlohmann::ordered_json::object();
  if (c.bos_id >= 0) j["bos_token_id"] = c.bos_id;
  if (c.eos_id >= 0 && c.more_eos_ids.empty()) j["eos_token_id"] = c.eos_id;
  if (c.eos_id >= 0 && !c.more_eos_ids.empty()) {
    j["eos_token_id"] = {c.eos_id};
    for (const std::int32_t id : c.more_eos_ids) j["eos_token_id"].push_back(id);
  }
  return j.dump(2) + "\n";
}

/// "model-00001-of-00003.safetensors", the index, or the single file.
bool is_weight_file(std::string_view name) {
  return name == kSingle || name == kIndex ||
         (name.starts_with("model-") && name.ends_with(".safetensors"));
}

Status remove_stale(Env& env, const std::string& folder, const std::set<std::string>& keep) {
  BELAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, env.list_dir(folder));
  for (const std::string& name : names) {
    if (is_weight_file(name) && !keep.contains(name)) {
      BELAY_RETURN_IF_ERROR(env.remove_file(base::join_path(folder, name)));
    }
  }
  return env.sync_dir(folder);
}

/// Makes the old model unloadable, unless a single file with the same config replaces another one:
/// then each state between is the old or the new model.
Status retire_old_config(Env& env, const std::string& folder, const std::string& new_config,
                         bool single) {
  const std::string path = base::join_path(folder, kConfig);
  if (!env.exists(path)) return {};
  if (single && !env.exists(base::join_path(folder, kIndex))) {
    const auto old = env.read_file(path, 1 << 20);
    if (old.ok() && *old == new_config) return {};
  }
  BELAY_RETURN_IF_ERROR(env.remove_file(path));
  return env.sync_dir(folder);
}

/// Finite, and still finite after rounding to the stored type.
Status check_storable(const WeightSpec& spec, std::span<const float> values, tensor::DType dtype) {
  const std::string where = "weight " + spec.name();
  BELAY_RETURN_IF_ERROR(store::check_finite(values, where));
  constexpr float kRoundsToInfinity = 0x1.FFp127f;
  if (dtype != tensor::DType::kBF16 || std::none_of(values.begin(), values.end(), [](float v) {
        return std::fabs(v) >= kRoundsToInfinity;
      })) {
    return {};
  }
  return base::unsupported(
      {.where = where, .what = "holds a value too large for bf16", .next = "save as f32"});
}

}  // namespace

Status save_hf_folder(Env& env, const std::string& folder, const ModelConfig& config,
                      std::span<const std::span<const float>> weights, const SaveOptions& options) {
  const std::vector<WeightSpec> table = weight_table(config);
  BELAY_CHECK(weights.size() == table.size(), "one span for each row of the weight table");
  for (std::size_t i = 0; i < table.size(); ++i) {
    BELAY_CHECK(weights[i].size() == static_cast<std::size_t>(table[i].shape.count()),
                "the size of " + table[i].name());
    BELAY_RETURN_IF_ERROR(check_storable(table[i], weights[i], options.dtype));
  }
  const std::string config_text = to_json(config, options.dtype);
  const std::vector<Shard> shards =
      split(list_tensors(table, weights, options.dtype), options.max_shard_bytes);
  const bool single = shards.size() == 1;

  BELAY_RETURN_IF_ERROR(env.create_dirs(folder));
  BELAY_RETURN_IF_ERROR(retire_old_config(env, folder, config_text, single));
  std::set<std::string> written;
  for (const Shard& shard : shards) {
    BELAY_RETURN_IF_ERROR(store::write_safetensors(env, base::join_path(folder, shard.name),
                                                   shard.tensors, {{"format", "pt"}}));
    written.insert(shard.name);
  }
  if (!single) {
    BELAY_RETURN_IF_ERROR(
        base::write_file_atomic(env, base::join_path(folder, kIndex), index_json(shards)));
    written.emplace(kIndex);
  }
  BELAY_RETURN_IF_ERROR(remove_stale(env, folder, written));
  BELAY_RETURN_IF_ERROR(base::write_file_atomic(
      env, base::join_path(folder, "generation_config.json"), generation_json(config)));
  return base::write_file_atomic(env, base::join_path(folder, kConfig), config_text);
}

Status save_hf_folder(Env& env, const std::string& folder, const LoadedModel& model,
                      const SaveOptions& options) {
  std::vector<std::span<const float>> weights(model.weights.begin(), model.weights.end());
  return save_hf_folder(env, folder, model.config, weights, options);
}

}  // namespace belay::model
