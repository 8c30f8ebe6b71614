#include "convert/quantize.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "convert/parity.h"
#include "model/batch.h"
#include "ops/output_head.h"
#include "ops/quant_blocks.h"
#include "ops/quantized.h"
#include "tensor/exec.h"

namespace belay::convert {
namespace {

using tensor::DType;

/// The logits of every token of a window, recorded once.
class Predictions {
 public:
  Predictions(base::Context& ctx, const model::Model& model, std::int64_t window)
      : batch_(window), vocab_(static_cast<std::size_t>(model.config().vocab_size)) {
    tensor::Tape tape;
    const tensor::Id h = model::forward(tape, model, batch_.bind(tape), {.longest = window});
    logits_ = ops::logits(tape, h, model::bind_head(tape, model));
    exec_.emplace(ctx, std::move(tape));
  }
  void read(std::span<const std::int32_t> ids) {
    std::vector<std::int32_t> all(ids.begin(), ids.end());
    all.resize(batch_.ids.size(), 0);  // what follows the end of a document is not seen by it
    const std::vector<std::int32_t> no_targets(all.size(), -1);
    const std::int64_t length = batch_.n_tokens();
    batch_.set(all, no_targets, {&length, 1});
    exec_->replay();
  }
  /// Logits of what follows token t, of the first n ids.
  std::span<const float> row(std::size_t t, std::size_t n) const {
    return {exec_->view(logits_).f32() + t * vocab_, n};
  }

 private:
  model::Batch batch_;
  std::size_t vocab_;
  tensor::Id logits_ = tensor::kNone;
  std::optional<tensor::Exec> exec_;
};

double nats_of(std::span<const float> logits, std::int32_t id) {
  const auto top = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - top);
  return top + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(id)]);
}

}  // namespace

QuantizedWeights::QuantizedWeights(base::Isa isa, const model::WeightSource& from,
                                   model::StoredTypes types)
    : isa_(isa), from_(from), types_(std::move(types)) {
  const auto table = model::weight_table(from.config());
  BELAY_CHECK(types_.size() == table.size(), "a type for each weight");
  for (std::size_t i = 0; i < table.size(); ++i) {
    width_.push_back(table[i].shape.rank() == 2 ? table[i].shape[1] : 1);
    if (tensor::is_quantized(from.type(i)) || !tensor::is_quantized(types_[i])) {
      types_[i] = from.type(i);
    }
  }
}

base::Status QuantizedWeights::read(std::size_t index, std::int64_t first, std::int64_t n,
                                    std::byte* to) const {
  const DType stored = from_.type(index), wanted = types_[index];
  if (stored == wanted) return from_.read(index, first, n, to);
  const std::int64_t width = width_[index], row = tensor::stored_bytes(wanted, width);
  std::vector<float> values(static_cast<std::size_t>(n * width));
  BELAY_RETURN_IF_ERROR(model::read_floats(from_, index, width, first, n, values.data()));
  for (std::int64_t r = 0; r < n; ++r) {
    ops::quantize_row(isa_, values.data() + r * width, width, wanted, to + r * row);
  }
  return {};
}

CalibratedWeights::CalibratedWeights(const model::WeightSource& from, model::StoredTypes types,
                                     Calibration& calibration)
    : from_(from),
      plain_(calibration.ctx().isa, from, std::move(types)),
      calibration_(calibration),
      table_(model::weight_table(from.config())) {}

/// A tied embedding is rounded for what the output layer computes; one of its own is not
/// multiplied.
bool CalibratedWeights::has_feedback(std::size_t index) const {
  if (type(index) != DType::kQ4 || from_.type(index) == DType::kQ4) return false;
  return table_[index].role != model::Role::kEmbedding || config().tied_embeddings;
}

const Feedback& CalibratedWeights::feedback(std::size_t index) const {
  if (!feedback_ || feedback_of_ != index) {
    feedback_.reset();  // its memory, before the next takes its own
    const model::WeightSpec& spec = table_[index];
    const model::Role role = spec.layer < 0 ? model::Role::kHead : spec.role;
    feedback_.emplace(calibration_.ctx(), calibration_.moments(role, spec.layer), spec.shape[1]);
    feedback_of_ = index;
  }
  return *feedback_;
}

base::Status CalibratedWeights::read(std::size_t index, std::int64_t first, std::int64_t n,
                                     std::byte* to) const {
  if (!has_feedback(index)) return plain_.read(index, first, n, to);
  const std::int64_t width = table_[index].shape[1];
  const std::int64_t row_bytes = tensor::stored_bytes(DType::kQ4, width);
  std::vector<float> values(static_cast<std::size_t>(n * width));
  BELAY_RETURN_IF_ERROR(model::read_floats(from_, index, width, first, n, values.data()));
  if (!ops::quantizable(ops::BlockType::kQ4_0, values)) {
    return plain_.read(index, first, n, to);  // as near as scales reach
  }
  const Feedback& rounding = feedback(index);
  calibration_.ctx().threads.parallel(n, [&](std::int64_t r, int) {
    rounding.round_row(values.data() + r * width, to + r * row_bytes);
  });
  return {};
}

DType type_of_bits(int bits) {
  BELAY_CHECK(bits == 8 || bits == 4, "8 or 4 bits");
  return bits == 8 ? DType::kQ8 : DType::kQ4;
}

model::StoredTypes file_types(const model::WeightSource& from, int bits, int vocab_bits) {
  model::StoredTypes types = model::stored_types(from);
  const auto table = model::weight_table(from.config());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool whole = table[i].shape.last() % tensor::kQuantGroup == 0;
    const int to = table[i].layer >= 0 ? bits : vocab_bits;
    if (table[i].shape.rank() == 2 && whole && to != 6) types[i] = type_of_bits(to);
  }
  return types;
}

TextDivergence text_divergence(base::Context& ctx, const model::Model& a, const model::Model& b,
                               std::span<const std::int32_t> ids, std::int64_t window,
                               std::int64_t vocab) {
  BELAY_CHECK(ids.size() > 1 && window > 1, "a text to predict");
  const auto length = static_cast<std::size_t>(window), n_ids = static_cast<std::size_t>(vocab);
  Predictions of_a(ctx, a, window), of_b(ctx, b, window);
  struct Row {
    double kl = 0, nats_a = 0, nats_b = 0;
  };
  std::vector<Row> rows(length);
  TextDivergence sum;
  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += length) {
    const auto part = ids.subspan(begin, std::min(length, ids.size() - begin));
    of_a.read(part);
    of_b.read(part);
    ctx.threads.parallel(std::ssize(part) - 1, [&](std::int64_t i, int) {
      const auto t = static_cast<std::size_t>(i);
      const auto x = of_a.row(t, n_ids), y = of_b.row(t, n_ids);
      rows[t] = {divergence(x, y), nats_of(x, part[t + 1]), nats_of(y, part[t + 1])};
    });
    for (std::size_t t = 0; t + 1 < part.size(); ++t) {
      sum.mean_kl += rows[t].kl;
      sum.nats_a += rows[t].nats_a;
      sum.nats_b += rows[t].nats_b;
      ++sum.n_tokens;
    }
  }
  sum.mean_kl /= static_cast<double>(sum.n_tokens);
  return sum;
}

}  // namespace belay::convert
