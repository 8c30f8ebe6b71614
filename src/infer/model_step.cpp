#include "infer/model_step.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"
#include "ops/output_head.h"

namespace belay::infer {
namespace {

using tensor::DType;
using tensor::Id;
using tensor::Tape;

/// Rows of the tape for n rows: each number up to 8, then steps of an eighth or less, so that few
/// tapes serve all.
std::int64_t tape_rows(std::int64_t n, std::int64_t most) {
  std::int64_t step = 1;
  while (n > 8 * step) step *= 2;
  return std::min(most, ops::round_up(n, step));
}

Id record_body(Tape& tape, const model::Model& model, std::int64_t longest, model::Batch& batch,
               const model::CacheIds& cache) {
  const Id h = model::forward(tape, model, batch.bind(tape), {.longest = longest, .cache = &cache});
  tape.keep(h);
  return h;
}

Id record_head(Tape& tape, const model::Model& model, std::byte* hidden, std::int32_t* targets,
               std::int64_t rows, bool gather) {
  const Id h = tape.external({hidden, {rows, model.config().hidden_size}, model.compute()});
  // The head's master is bound for its gradient only; a tied one is the embedding.
  const ops::Matrix head = model::bind_head(tape, model);
  if (!gather) return ops::logits(tape, h, head);
  return ops::logprob_gather(tape, h, head, tape.external({targets, {rows}, DType::kI32}));
}

std::int64_t body_bytes(base::Context& ctx, const model::Model& model, const StepLimits& limits,
                        int kv_bits) {
  Tape tape;
  model::Batch batch(limits.rows);
  model::CacheIds cache{
      tape.external({nullptr, {1}, DType::kI32}),
      model::KvPages::bind_nothing(tape, model.config(), model.compute(), 1, kv_bits), kv_bits};
  record_body(tape, model, limits.longest, batch, cache);
  return tensor::Exec::measure(ctx, tape);
}

std::int64_t head_bytes(base::Context& ctx, const model::Model& model) {
  std::int64_t most = 0;
  for (const bool gather : {false, true}) {
    Tape tape;
    record_head(tape, model, nullptr, nullptr, ModelStep::kHeadRows, gather);
    most = std::max(most, tensor::Exec::measure(ctx, tape));
  }
  return most;
}

std::int64_t row_bytes(const model::Model& model) {
  return model.config().hidden_size * tensor::dtype_bytes(model.compute());
}

}  // namespace

ModelStep::ModelStep(base::Context& ctx, const model::Model& model, model::KvPages& pages,
                     const StepLimits& limits)
    : ctx_(ctx),
      model_(model),
      pages_(pages),
      limits_(limits),
      segments_(limits.segments, limits.table),
      body_arena_(body_bytes(ctx, model, limits, pages.kv_bits())),
      head_arena_(head_bytes(ctx, model)),
      hidden_(kHeadRows * row_bytes(model)),
      targets_(static_cast<std::size_t>(kHeadRows)) {
  BELAY_CHECK(limits.longest <= model.max_positions(), "positions for every token");
  ids_.reserve(static_cast<std::size_t>(limits.rows));
  positions_.reserve(static_cast<std::size_t>(limits.rows));
}

std::int64_t ModelStep::bytes_needed(base::Context& ctx, const model::Model& model,
                                     const StepLimits& limits, int kv_bits) {
  return body_bytes(ctx, model, limits, kv_bits) + head_bytes(ctx, model);
}

void ModelStep::begin() {
  ids_.clear();
  positions_.clear();
  segments_.clear();
}

std::int64_t ModelStep::add(std::span<const std::int32_t> ids, std::int64_t past,
                            std::span<const std::int32_t> pages) {
  const auto row = static_cast<std::int64_t>(ids_.size()),
             n = static_cast<std::int64_t>(ids.size());
  BELAY_CHECK(row + n <= limits_.rows && past + n <= limits_.longest, "room for the rows");
  for (std::int64_t i = 0; i < n; ++i) {
    positions_.push_back(static_cast<std::int32_t>(past + i));
  }
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  segments_.add(row, n, past, pages);
  return row;
}

ModelStep::Body& ModelStep::body(std::int64_t rows) {
  Body& b = bodies_[rows];
  if (b.exec != nullptr) return b;
  b.batch = std::make_unique<model::Batch>(rows);
  Tape tape;
  const model::CacheIds cache{segments_.bind(tape), pages_.bind(tape), pages_.kv_bits()};
  b.h = record_body(tape, model_, limits_.longest, *b.batch, cache);
  b.exec = std::make_unique<tensor::Exec>(ctx_, std::move(tape), body_arena_.data());
  return b;
}

void ModelStep::run() {
  BELAY_CHECK(!ids_.empty(), "a step has rows");
  Body& b = body(tape_rows(static_cast<std::int64_t>(ids_.size()), limits_.rows));
  std::copy(ids_.begin(), ids_.end(), b.batch->ids.begin());
  std::copy(positions_.begin(), positions_.end(), b.batch->positions.begin());
  // Rows that nobody reads: any id that there is, at a position that there is.
  for (std::size_t i = ids_.size(); i < b.batch->ids.size(); ++i) {
    b.batch->ids[i] = b.batch->positions[i] = 0;
  }
  b.exec->replay();
  ran_ = &b;
}

std::int64_t ModelStep::gather(std::span<const std::int32_t> rows) {
  BELAY_CHECK(ran_ != nullptr && !rows.empty() && rows.size() <= targets_.size(), "rows that ran");
  const auto bytes = static_cast<std::size_t>(row_bytes(model_));
  const auto* h = static_cast<const std::byte*>(ran_->exec->view(ran_->h).data);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(hidden_.data() + i * bytes, h + static_cast<std::size_t>(rows[i]) * bytes, bytes);
  }
  return tape_rows(static_cast<std::int64_t>(rows.size()), kHeadRows);
}

ModelStep::Head& ModelStep::head(std::int64_t rows, bool gather) {
  Head& head = (gather ? logprobs_ : logits_)[rows];
  if (head.exec != nullptr) return head;
  Tape tape;
  head.out = record_head(tape, model_, hidden_.data(), targets_.data(), rows, gather);
  head.exec = std::make_unique<tensor::Exec>(ctx_, std::move(tape), head_arena_.data());
  return head;
}

std::span<const float> ModelStep::logits(std::span<const std::int32_t> rows) {
  Head& h = head(gather(rows), false);
  h.exec->replay();
  const auto vocab = static_cast<std::size_t>(model_.config().vocab_size);
  return {h.exec->view(h.out).f32(), rows.size() * vocab};
}

std::span<const float> ModelStep::logprobs(std::span<const std::int32_t> rows,
                                           std::span<const std::int32_t> targets) {
  Head& h = head(gather(rows), true);
  std::fill(targets_.begin(), targets_.end(), -1);
  std::copy(targets.begin(), targets.end(), targets_.begin());
  h.exec->replay();
  return {h.exec->view(h.out).f32(), rows.size()};
}

}  // namespace belay::infer
