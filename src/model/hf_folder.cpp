#include "model/hf_folder.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json.h"
#include "base/units.h"
#include "model/config_json.h"
#include "model/weights.h"
#include "store/safetensors.h"

namespace belay::model {
namespace {

using base::Env;
using base::Result;
using base::Status;
using store::TensorFiles;
using store::TensorInfo;

constexpr std::string_view kHeadName = "lm_head.weight";

/// The shape of rows [0, rows) of a weight: [rows, in] or [rows].
std::vector<std::int64_t> part_shape(const WeightSpec& spec, const WeightPart& part) {
  if (spec.shape.rank() == 1) return {part.rows};
  return {part.rows, spec.shape.last()};
}

Status check_part(const TensorFiles& files, const WeightSpec& spec, const WeightPart& part,
                  const std::string& path) {
  const TensorInfo* info = files.find(part.hf_name);
  const std::vector<std::int64_t> shape = part_shape(spec, part);
  if (info == nullptr) {
    return base::corrupt({.where = path + ": tensor " + base::printable(part.hf_name),
                          .what = "is missing",
                          .allowed = "shape " + store::shape_text(shape),
                          .next = "config.json asks for it: use the weights that belong to it"});
  }
  if (info->shape != shape) {
    return base::corrupt({.where = files.where(*info) + ": shape",
                          .what = "is not what config.json asks for",
                          .seen = store::shape_text(info->shape),
                          .allowed = store::shape_text(shape)});
  }
  if (info->type.dtype) return {};
  return base::unsupported({.where = files.where(*info) + ": dtype",
                            .what = "cannot be computed with",
                            .seen = std::string(info->type.name),
                            .allowed = "F32, F16, BF16"});
}

/// A tied model's lm_head.weight is redundant, or the model is not tied.
Status check_tied_head(const TensorFiles& files, const TensorInfo& head,
                       const std::string& embedding) {
  const TensorInfo* info = files.find(embedding);
  const auto a = files.bytes(head);
  const auto b = files.bytes(*info);
  if (head.shape == info->shape && head.type.name == info->type.name && a.size() == b.size() &&
      (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0)) {
    return {};
  }
  return base::corrupt({.where = files.where(head),
                        .what = "differs from the embedding, though config.json ties them",
                        .next = "set tie_word_embeddings to false, or remove the tensor"});
}

Status check_tensors(const TensorFiles& files, const ModelConfig& config,
                     const std::vector<WeightSpec>& table, const std::string& path) {
  std::set<std::string_view> expected;
  for (const WeightSpec& spec : table) {
    for (const WeightPart& part : spec.parts) {
      BELAY_RETURN_IF_ERROR(check_part(files, spec, part, path));
      expected.insert(part.hf_name);
    }
  }
  for (const TensorInfo& info : files.list()) {
    if (expected.contains(info.name) || info.name.ends_with(".rotary_emb.inv_freq")) continue;
    if (info.name == kHeadName && config.tied_embeddings) {
      BELAY_RETURN_IF_ERROR(check_tied_head(files, info, table.front().name()));
      continue;
    }
    return base::corrupt({.where = files.where(info),
                          .what = "is not part of the model that config.json describes",
                          .seen = "shape " + store::shape_text(info.shape),
                          .next = "use the config.json that belongs to these weights"});
  }
  return {};
}

Status read_weight(const TensorFiles& files, const WeightSpec& spec, std::vector<float>& values) {
  values.resize(static_cast<std::size_t>(spec.shape.count()));
  const std::int64_t width = spec.row_size();
  for (const WeightPart& part : spec.parts) {
    const auto out = std::span(values).subspan(static_cast<std::size_t>(part.row * width),
                                               static_cast<std::size_t>(part.rows * width));
    BELAY_RETURN_IF_ERROR(files.read_f32(part.hf_name, out));
    BELAY_RETURN_IF_ERROR(store::check_finite(out, files.where(*files.find(part.hf_name))));
  }
  return {};
}

/// Adds the end-of-text ids that only generation_config.json names.
Status add_generation_ids(Env& env, const std::string& folder, ModelConfig& config) {
  const std::string path = base::join_path(folder, "generation_config.json");
  if (!env.exists(path)) return {};
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxConfigBytes));
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader root, base::parse_json(text, path));
  if (!root.has("eos_token_id")) return {};
  const std::int64_t last = config.vocab_size - 1;
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader eos, root.require("eos_token_id"));
  std::vector<std::int64_t> ids;
  if (eos.node().is_array()) {
    BELAY_ASSIGN_OR_RETURN(ids, eos.ints(0, last, 1024));
  } else {
    BELAY_ASSIGN_OR_RETURN(const std::int64_t id, root.require_int("eos_token_id", 0, last));
    ids.push_back(id);
  }
  for (const std::int64_t wide : ids) {
    const auto id = static_cast<std::int32_t>(wide);
    auto& more = config.more_eos_ids;
    if (config.eos_id < 0) {
      config.eos_id = id;
    } else if (id != config.eos_id && std::find(more.begin(), more.end(), id) == more.end()) {
      more.push_back(id);
    }
  }
  return {};
}

}  // namespace

Result<ModelConfig> load_hf_config(Env& env, const std::string& folder) {
  const std::string path = base::join_path(folder, "config.json");
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxConfigBytes));
  BELAY_ASSIGN_OR_RETURN(ModelConfig config, parse_config(text, path));
  BELAY_RETURN_IF_ERROR(add_generation_ids(env, folder, config));
  return config;
}

Status check_weights_fit(Env& env, const ModelConfig& config, const std::string& path) {
  const std::uint64_t need = static_cast<std::uint64_t>(config.n_params()) * sizeof(float);
  const std::uint64_t have = env.available_memory_bytes();
  if (have == 0 || need <= have) return {};
  return base::resource_exhausted({.where = path,
                                   .what = "the weights do not fit in memory",
                                   .seen = base::bytes_text(need) + " as 32-bit floats",
                                   .allowed = base::bytes_text(have) + " available",
                                   .next = "free memory or use a smaller model"});
}

namespace {

/// A folder whose header is checked.
struct Opened {
  ModelConfig config;
  std::vector<WeightSpec> table;
  TensorFiles files;
};

Result<Opened> open_checked(Env& env, const std::string& path) {
  if (!env.exists(path)) {
    return base::not_found({.where = path,
                            .what = "does not exist",
                            .allowed = "a model folder or a .safetensors file"});
  }
  const std::string folder = env.is_directory(path) ? path : base::parent_dir(path);
  BELAY_ASSIGN_OR_RETURN(ModelConfig config, load_hf_config(env, folder));
  BELAY_ASSIGN_OR_RETURN(TensorFiles files, TensorFiles::open(env, path));
  std::vector<WeightSpec> table = weight_table(config);
  BELAY_RETURN_IF_ERROR(check_tensors(files, config, table, path));
  return Opened{std::move(config), std::move(table), std::move(files)};
}

class HfWeights final : public WeightSource {
 public:
  explicit HfWeights(Opened opened) : o_(std::move(opened)) {}
  const ModelConfig& config() const override { return o_.config; }

  /// bf16 where every part is; a vector, and what is f16 in the file, f32.
  tensor::DType type(std::size_t index) const override {
    const WeightSpec& spec = o_.table[index];
    const bool bf16 =
        spec.shape.rank() == 2 &&
        std::all_of(spec.parts.begin(), spec.parts.end(), [&](const WeightPart& part) {
          return o_.files.find(part.hf_name)->type.dtype == tensor::DType::kBF16;
        });
    return bf16 ? tensor::DType::kBF16 : tensor::DType::kF32;
  }

  Status verify(std::size_t index) const override {
    for (const WeightPart& part : o_.table[index].parts) {
      BELAY_RETURN_IF_ERROR(o_.files.verify(*o_.files.find(part.hf_name)));
    }
    return {};
  }

  Status read(std::size_t index, std::int64_t first, std::int64_t n, std::byte* to) const override {
    const WeightSpec& spec = o_.table[index];
    const std::int64_t width = spec.row_size(), size = tensor::dtype_bytes(type(index));
    for (const WeightPart& part : spec.parts) {
      const std::int64_t begin = std::max(first, part.row);
      const std::int64_t end = std::min(first + n, part.row + part.rows);
      if (begin >= end) continue;
      BELAY_RETURN_IF_ERROR(
          read_part(*o_.files.find(part.hf_name),
                    {(begin - part.row) * width, (end - begin) * width, type(index)},
                    to + (begin - first) * width * size));
    }
    return {};
  }

 private:
  struct Elements {
    std::int64_t first, n;
    tensor::DType type;
  };
  Status read_part(const TensorInfo& info, const Elements& e, std::byte* to) const {
    const auto n = static_cast<std::size_t>(e.n);
    const auto first = static_cast<std::uint64_t>(e.first);
    if (e.type == tensor::DType::kBF16) {
      std::memcpy(to, o_.files.bytes(info).data() + 2 * e.first, 2 * n);
      const auto* values = reinterpret_cast<const tensor::bf16*>(to);
      return store::check_finite(std::span(values, n), o_.files.where(info), first);
    }
    const std::span<float> out(reinterpret_cast<float*>(to), n);
    o_.files.read_elements(info, first, out);
    return store::check_finite(out, o_.files.where(info), first);
  }
  Opened o_;
};

}  // namespace

Result<LoadedModel> load_hf_folder(Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(const Opened opened, open_checked(env, path));
  BELAY_RETURN_IF_ERROR(check_weights_fit(env, opened.config, path));
  LoadedModel model;
  model.config = opened.config;
  model.weights.resize(opened.table.size());
  for (std::size_t i = 0; i < opened.table.size(); ++i) {
    BELAY_RETURN_IF_ERROR(read_weight(opened.files, opened.table[i], model.weights[i]));
  }
  return model;
}

Result<std::unique_ptr<WeightSource>> open_hf_folder(Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(Opened opened, open_checked(env, path));
  return std::unique_ptr<WeightSource>(std::make_unique<HfWeights>(std::move(opened)));
}

}  // namespace belay::model
