// Weights of 8 and 4 bits from those of another source, and what that costs: how far the
// predictions of one model are from those of another along a text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/context.h"
#include "model/load.h"

namespace belay::convert {

/// Another source, whose matrices are rounded as they are read (ops::quantize_row). What is
/// quantized there already stays as it is.
class QuantizedWeights final : public model::WeightSource {
 public:
  /// types: by table index, model::quantized_types() or a mixture of it and the source's own.
  /// `from` outlives this.
  QuantizedWeights(base::Isa isa, const model::WeightSource& from, model::StoredTypes types);
  const model::ModelConfig& config() const override { return from_.config(); }
  tensor::DType type(std::size_t index) const override { return types_[index]; }
  base::Status verify(std::size_t index) const override { return from_.verify(index); }
  base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                    std::byte* to) const override;

 private:
  base::Isa isa_;
  const model::WeightSource& from_;
  model::StoredTypes types_;
  std::vector<std::int64_t> width_;
};

/// The types of a model at 8 or 4 bits (model::quantized_types) as a GGUF file can hold them: a
/// matrix whose rows are no whole groups keeps its type.
model::StoredTypes file_types(const model::WeightSource& from, int bits);
/// bits: 8 or 4.
tensor::DType type_of_bits(int bits);

/// Predictions of two models along a text, cut into windows that are documents of their own.
struct TextDivergence {
  std::size_t n_tokens = 0;       // predicted
  double mean_kl = 0;             // KL(a || b) of a prediction, in nats
  double nats_a = 0, nats_b = 0;  // of all that were predicted
};
/// ids: more than one; window: 2 to the positions of both models; vocab: ids that a prediction may
/// be of (a model may have more than its tokenizer).
TextDivergence text_divergence(base::Context& ctx, const model::Model& a, const model::Model& b,
                               std::span<const std::int32_t> ids, std::int64_t window,
                               std::int64_t vocab);

}  // namespace belay::convert
