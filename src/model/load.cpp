#include "model/load.h"

#include <fmt/core.h>

#include <cstring>

#include "base/units.h"
#include "ops/quantized.h"

namespace belay::model {
namespace {

using base::Result;
using base::Status;
using tensor::DType;

/// What of the same model would fit into `have` bytes.
std::string what_would_fit(const ModelConfig& config, DType compute, const StoredTypes& types,
                           std::uint64_t have) {
  const auto fits = [&](DType c, const StoredTypes& t) {
    return static_cast<std::uint64_t>(model_bytes(config, c, t).total()) <= have;
  };
  if (compute == DType::kF32 && fits(DType::kBF16, types)) return "--dtype bf16 fits";
  for (const auto& [type, bits] : {std::pair{DType::kQ8, 8}, {DType::kQ4, 4}}) {
    if (fits(compute, quantized_types(config, types, type))) {
      return fmt::format("--quantize {} fits", bits);
    }
  }
  return "free memory, or use a smaller model";
}

Status check_fits(base::Env& env, const ModelConfig& config, DType compute,
                  const StoredTypes& types) {
  const auto need = static_cast<std::uint64_t>(model_bytes(config, compute, types).total());
  const std::uint64_t have = env.available_memory_bytes();
  if (have == 0 || need <= have) return {};
  return base::resource_exhausted({.where = "model",
                                   .what = "does not fit in memory",
                                   .seen = base::bytes_text(need),
                                   .allowed = base::bytes_text(have) + " available",
                                   .next = what_would_fit(config, compute, types, have)});
}

}  // namespace

StoredTypes stored_types(const WeightSource& source) {
  StoredTypes types(weight_table(source.config()).size());
  for (std::size_t i = 0; i < types.size(); ++i) types[i] = source.type(i);
  return types;
}

StoredTypes quantized_types(const ModelConfig& config, StoredTypes types, DType to) {
  const std::vector<WeightSpec> table = weight_table(config);
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i].shape.rank() != 2) continue;
    const bool in_layer = table[i].layer >= 0;
    types[i] = in_layer ? to : DType::kQ8;
  }
  return types;
}

Status read_floats(const WeightSource& source, std::size_t index, std::int64_t width,
                   std::int64_t first, std::int64_t n, float* to) {
  const DType type = source.type(index);
  if (type == DType::kF32) {
    return source.read(index, first, n, reinterpret_cast<std::byte*>(to));
  }
  const std::int64_t row = tensor::stored_bytes(type, width);
  std::vector<std::byte> stored(static_cast<std::size_t>(n * row));
  BELAY_RETURN_IF_ERROR(source.read(index, first, n, stored.data()));
  if (type == DType::kBF16) {
    for (std::int64_t i = 0; i < n * width; ++i) {
      tensor::bf16 v;
      std::memcpy(&v, stored.data() + 2 * i, sizeof v);
      to[i] = tensor::to_float(v);
    }
    return {};
  }
  for (std::int64_t r = 0; r < n; ++r) {
    ops::dequantize_row(stored.data() + r * row, width, type, to + r * width);
  }
  return {};
}

Result<Model> load_for_inference(base::Context& ctx, base::Env& env, const WeightSource& source,
                                 DType compute, std::int64_t max_positions) {
  const StoredTypes types = stored_types(source);
  BELAY_RETURN_IF_ERROR(check_fits(env, source.config(), compute, types));
  Model model(source.config(), compute, types, max_positions);
  BELAY_RETURN_IF_ERROR(model.read(ctx, source));
  return model;
}

}  // namespace belay::model
