#include "model/gguf_model.h"

#include <algorithm>
#include <cmath>
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
using ops::BlockType;
using store::GgufFile;
using store::GgufTensor;
using tensor::DType;

constexpr std::string_view kHead = "output.weight";
constexpr std::string_view kEmbedding = "token_embd.weight";

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

/// A file whose keys and directory of tensors are checked.
class GgufWeights final : public WeightSource {
 public:
  static Result<std::unique_ptr<GgufWeights>> open(Env& env, const std::string& path) {
    BELAY_ASSIGN_OR_RETURN(GgufFile file, GgufFile::open(env, path));
    BELAY_ASSIGN_OR_RETURN(ModelConfig config, gguf_config(file));
    const bool repeated = !config.tied_embeddings && repeats_embedding(file);
    config.tied_embeddings = config.tied_embeddings || repeated;
    std::vector<WeightSpec> table = weight_table(config);
    BELAY_RETURN_IF_ERROR(check_tensors(file, table, repeated));
    return std::unique_ptr<GgufWeights>(
        new GgufWeights(std::move(file), std::move(config), std::move(table)));
  }

  const ModelConfig& config() const override { return config_; }

  /// Blocks of Q8_0 and Q4_0 are computed with as they are, others become f32.
  DType type(std::size_t index) const override {
    const WeightSpec& spec = table_[index];
    if (spec.shape.rank() == 1) return DType::kF32;
    const DType first = held_as(spec.parts.front());
    const bool same = std::all_of(spec.parts.begin(), spec.parts.end(),
                                  [&](const WeightPart& p) { return held_as(p) == first; });
    return same ? first : DType::kF32;
  }

  Status verify(std::size_t) const override { return {}; }  // the format has no checksums

  Status read(std::size_t index, std::int64_t first, std::int64_t n, std::byte* to) const override {
    return read_as(type(index), index, first, n, to);
  }

  /// Rows in a type of choice: that of type(), or f32.
  Status read_as(DType type, std::size_t index, std::int64_t first, std::int64_t n,
                 std::byte* to) const {
    const WeightSpec& spec = table_[index];
    const std::int64_t bytes = tensor::stored_bytes(type, spec.row_size());
    for (const WeightPart& part : spec.parts) {
      const std::int64_t begin = std::max(first, part.row);
      const std::int64_t end = std::min(first + n, part.row + part.rows);
      for (std::int64_t row = begin; row < end; ++row) {
        BELAY_RETURN_IF_ERROR(
            read_row(type, spec, part, row - part.row, to + (row - first) * bytes));
      }
    }
    return {};
  }

  const std::vector<WeightSpec>& table() const { return table_; }

 private:
  GgufWeights(GgufFile file, ModelConfig config, std::vector<WeightSpec> table)
      : file_(std::move(file)), config_(std::move(config)), table_(std::move(table)) {}

  DType held_as(const WeightPart& part) const {
    switch (*ops::block_type_of(file_.find(part.gguf_name)->type_id)) {
      case BlockType::kBF16: return DType::kBF16;
      case BlockType::kQ8_0: return DType::kQ8;
      case BlockType::kQ4_0: return DType::kQ4;
      default: return DType::kF32;
    }
  }

  /// Where the file has a row of a part: q and k of some families lie as pairs that rotate
  /// together.
  std::int64_t stored_row(const WeightPart& part, std::int64_t row) const {
    if (!rotates_neighbours(config_.family) || !is_rotated(part)) return row;
    const std::int64_t half = config_.head_dim / 2, in_head = row % config_.head_dim;
    return row - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
  }

  Status read_row(DType type, const WeightSpec& spec, const WeightPart& part, std::int64_t row,
                  std::byte* to) const {
    const GgufTensor& tensor = *file_.find(part.gguf_name);
    const BlockType blocks = *ops::block_type_of(tensor.type_id);
    const auto width = static_cast<std::size_t>(spec.row_size());
    const std::size_t bytes = width / ops::block_weights(blocks) * ops::block_bytes(blocks);
    const auto from = static_cast<std::size_t>(stored_row(part, row)) * bytes;
    const std::span<const std::byte> stored = file_.bytes(tensor).subspan(from, bytes);
    if (type == DType::kF32) {
      const std::span<float> values(reinterpret_cast<float*>(to), width);
      ops::dequantize(blocks, stored, values);
      return store::check_finite(values, file_.where(tensor),
                                 static_cast<std::uint64_t>(row) * width);
    }
    std::memcpy(to, stored.data(), bytes);
    if (type == DType::kBF16) {
      const std::span values(reinterpret_cast<const tensor::bf16*>(to), width);
      return store::check_finite(values, file_.where(tensor),
                                 static_cast<std::uint64_t>(row) * width);
    }
    return check_scales(type, tensor, row, {to, bytes});
  }

  /// A block's weights are finite where its scale is.
  Status check_scales(DType type, const GgufTensor& tensor, std::int64_t row,
                      std::span<const std::byte> blocks) const {
    const auto step = static_cast<std::size_t>(tensor::group_bytes(type));
    for (std::size_t at = 0; at < blocks.size(); at += step) {
      std::uint16_t scale = 0;
      std::memcpy(&scale, blocks.data() + at, 2);
      const float value = tensor::half_to_float(scale);
      if (std::isfinite(value)) continue;
      return store::check_finite(
          std::span(&value, 1), file_.where(tensor),
          static_cast<std::uint64_t>(row * (static_cast<std::int64_t>(blocks.size() / step) * 32) +
                                     static_cast<std::int64_t>(at / step) * 32));
    }
    return {};
  }

  GgufFile file_;
  ModelConfig config_;
  std::vector<WeightSpec> table_;
};

}  // namespace

bool is_gguf_path(std::string_view path) { return path.ends_with(".gguf"); }

bool is_rotated(const WeightPart& part) {
  const std::string_view name = part.gguf_name;
  return name.find(".attn_q.") != std::string_view::npos ||
         name.find(".attn_k.") != std::string_view::npos;
}

void reorder_heads(std::span<std::byte> rows, std::int64_t head_dim, std::size_t row_bytes,
                   HeadRows to) {
  const std::size_t size = row_bytes;
  const auto head = static_cast<std::size_t>(head_dim);
  std::vector<std::byte> old(head * size);
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
  BELAY_ASSIGN_OR_RETURN(const auto source, GgufWeights::open(env, path));
  LoadedModel model;
  model.config = source->config();
  BELAY_RETURN_IF_ERROR(check_weights_fit(env, model.config, path));
  for (std::size_t i = 0; i < source->table().size(); ++i) {
    const WeightSpec& spec = source->table()[i];
    std::vector<float>& values = model.weights.emplace_back();
    values.resize(static_cast<std::size_t>(spec.shape.count()));
    BELAY_RETURN_IF_ERROR(source->read_as(DType::kF32, i, 0, spec.shape[0],
                                          reinterpret_cast<std::byte*>(values.data())));
  }
  return model;
}

Result<LoadedModel> load_model(Env& env, const std::string& path) {
  return is_gguf_path(path) ? load_gguf_model(env, path) : load_hf_folder(env, path);
}

Result<std::unique_ptr<WeightSource>> open_model(Env& env, const std::string& path) {
  if (!is_gguf_path(path)) return open_hf_folder(env, path);
  BELAY_ASSIGN_OR_RETURN(auto source, GgufWeights::open(env, path));
  return std::unique_ptr<WeightSource>(std::move(source));
}

}  // namespace belay::model
