// Weights of 8 and 4 bits from those of another source, and what that costs: how far the
// predictions of one model are from those of another along a text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/context.h"
#include "convert/calibrate.h"
#include "convert/feedback.h"
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

/// The same for a file: what becomes kQ4 is rounded with feedback of its errors
/// (convert/feedback.h), on the calibration's threads. Rows are read by one thread, entry after
/// entry: the moments of many are not held at once.
class CalibratedWeights final : public model::WeightSource {
 public:
  CalibratedWeights(const model::WeightSource& from, model::StoredTypes types,
                    Calibration& calibration);
  const model::ModelConfig& config() const override { return plain_.config(); }
  tensor::DType type(std::size_t index) const override { return plain_.type(index); }
  base::Status verify(std::size_t index) const override { return plain_.verify(index); }
  base::Status read(std::size_t index, std::int64_t first, std::int64_t n,
                    std::byte* to) const override;

 private:
  bool has_feedback(std::size_t index) const;
  const Feedback& feedback(std::size_t index) const;

  const model::WeightSource& from_;
  QuantizedWeights plain_;
  Calibration& calibration_;
  std::vector<model::WeightSpec> table_;
  mutable std::optional<Feedback> feedback_;  // of the entry that is read
  mutable std::size_t feedback_of_ = 0;
};

/// The types of a model at `bits` with embedding and output layer at vocab_bits, as a GGUF file can
/// hold them: a matrix whose rows are no whole groups keeps its type. bits: 8 or 4; vocab_bits: 8,
/// 6 (kept: the file's writer rounds to Q6_K) or 4.
model::StoredTypes file_types(const model::WeightSource& from, int bits, int vocab_bits);
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
