#include "model/gguf_model.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "model/gguf_config.h"
#include "model/weights.h"
#include "ops/quant_blocks.h"
#include "store/gguf.h"
#include "store/safetensors.h"

namespace belay::model {
namespace {

using base::Env;
using base::Result;
using base::Status;
using store::GgufFile;
using store::GgufTensor;

constexpr std::string_view kHead = "output.weight";
constexpr std::string_view kEmbedding = "token_embd.weight";
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

std::int64_t row_size(const WeightSpec& spec) {
  return spec.shape.rank() == 1 ? 1 : spec.shape.last();
}

/// The fastest dimension first.
std::vector<std::int64_t> part_dims(const WeightSpec& spec, const WeightPart& part) {
  if (spec.shape.rank() == 1) return {part.rows};
  return {spec.shape.last(), part.rows};
}

Status check_part(const GgufFile& file, const WeightSpec& spec, const WeightPart& part) {
  const GgufTensor* tensor = file.find(part.gguf_name);
  const std::vector<std::int64_t> dims = part_dims(spec, part);
  if (tensor == nullptr) {
    return base::corrupt({.where = file.path() + ": tensor " + base::printable(part.gguf_name),
                          .what = "is missing",
                          .allowed = "dimensions " + store::shape_text(dims)});
  }
  if (tensor->dims != dims) {
    return base::corrupt({.where = file.where(*tensor) + ": dimensions",
                          .what = "are not what the keys ask for",
                          .seen = store::shape_text(tensor->dims),
                          .allowed = store::shape_text(dims)});
  }
  if (ops::block_type_of(tensor->type_id)) return {};
  return base::unsupported({.where = file.where(*tensor) + ": type",
                            .what = "cannot be computed with",
                            .seen = tensor->type != nullptr
                                        ? std::string(tensor->type->name)
                                        : "number " + std::to_string(tensor->type_id),
                            .allowed = std::string(ops::kBlockTypeNames)});
}

Status check_tensors(const GgufFile& file, const std::vector<WeightSpec>& table, bool tied) {
  std::set<std::string_view> expected = {kRopeFactors};
  if (tied) expected.insert(kHead);
  for (const WeightSpec& spec : table) {
    for (const WeightPart& part : spec.parts) {
      BELAY_RETURN_IF_ERROR(check_part(file, spec, part));
      expected.insert(part.gguf_name);
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (expected.contains(tensor.name)) continue;
    return base::corrupt({.where = file.where(tensor),
                          .what = "is not part of the model that the keys describe",
                          .seen = "dimensions " + store::shape_text(tensor.dims)});
  }
  return {};
}

/// A head that repeats the embedding.
bool repeats_embedding(const GgufFile& file) {
  const GgufTensor* head = file.find(kHead);
  const GgufTensor* embedding = file.find(kEmbedding);
  if (head == nullptr || embedding == nullptr || head->type == nullptr) return false;
  const auto a = file.bytes(*head), b = file.bytes(*embedding);
  return head->type_id == embedding->type_id && head->dims == embedding->dims &&
         a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

Status read_weight(const GgufFile& file, const ModelConfig& config, const WeightSpec& spec,
                   std::vector<float>& values) {
  values.resize(static_cast<std::size_t>(spec.shape.count()));
  const std::int64_t width = row_size(spec);
  for (const WeightPart& part : spec.parts) {
    const auto out = std::span(values).subspan(static_cast<std::size_t>(part.row * width),
                                               static_cast<std::size_t>(part.rows * width));
    const GgufTensor& tensor = *file.find(part.gguf_name);
    ops::dequantize(*ops::block_type_of(tensor.type_id), file.bytes(tensor), out);
    BELAY_RETURN_IF_ERROR(store::check_finite(out, file.where(tensor)));
    if (rotates_neighbours(config.family) && is_rotated(part)) {
      reorder_heads(out, config.head_dim, width, HeadRows::kHalves);
    }
  }
  return {};
}

}  // namespace

bool is_gguf_path(std::string_view path) { return path.ends_with(".gguf"); }

bool is_rotated(const WeightPart& part) {
  const std::string_view name = part.gguf_name;
  return name.find(".attn_q.") != std::string_view::npos ||
         name.find(".attn_k.") != std::string_view::npos;
}

void reorder_heads(std::span<float> rows, std::int64_t head_dim, std::int64_t width, HeadRows to) {
  const auto size = static_cast<std::size_t>(width);
  const auto head = static_cast<std::size_t>(head_dim);
  std::vector<float> old(head * size);
  for (std::size_t begin = 0; begin < rows.size(); begin += old.size()) {
    const auto values = rows.subspan(begin, old.size());
    std::copy(values.begin(), values.end(), old.begin());
    for (std::size_t r = 0; r < head; ++r) {
      const std::size_t neighbour = r < head / 2 ? 2 * r : 2 * (r - head / 2) + 1;
      const std::size_t from = to == HeadRows::kHalves ? neighbour : r;
      const std::size_t into = to == HeadRows::kHalves ? r : neighbour;
      std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(from * size), size,
                  values.begin() + static_cast<std::ptrdiff_t>(into * size));
    }
  }
}

Result<LoadedModel> load_gguf_model(Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(env, path));
  LoadedModel model;
  BELAY_ASSIGN_OR_RETURN(model.config, gguf_config(file));
  const bool repeated = !model.config.tied_embeddings && repeats_embedding(file);
  model.config.tied_embeddings = model.config.tied_embeddings || repeated;
  const std::vector<WeightSpec> table = weight_table(model.config);
  BELAY_RETURN_IF_ERROR(check_tensors(file, table, repeated));
  BELAY_RETURN_IF_ERROR(check_weights_fit(env, model.config, path));
  model.weights.resize(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    BELAY_RETURN_IF_ERROR(read_weight(file, model.config, table[i], model.weights[i]));
  }
  return model;
}

Result<LoadedModel> load_model(Env& env, const std::string& path) {
  return is_gguf_path(path) ? load_gguf_model(env, path) : load_hf_folder(env, path);
}

}  // namespace belay::model
