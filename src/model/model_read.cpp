// A model for inference, read from where it is stored: no weight is ever held whole in another
// form.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "model/model.h"
#include "ops/simd/kernels.h"

namespace belay::model {
namespace {

using base::Status;
using ops::simd::kPanel;
using tensor::DType;

/// The first error of many threads' work, in the order of what they worked at.
class FirstError {
 public:
  explicit FirstError(std::size_t n) : of_(n) {}
  void set(std::size_t i, Status status) {
    if (!status.ok()) failed_.store(true, std::memory_order_relaxed);
    of_[i] = std::move(status);
  }
  bool any() const { return failed_.load(std::memory_order_relaxed); }
  Status get() const {
    for (const Status& status : of_) BELAY_RETURN_IF_ERROR(status);
    return {};
  }

 private:
  std::vector<Status> of_;
  std::atomic<bool> failed_{false};
};

/// n bf16 at the beginning of memory that has room for n floats.
void widen_in_place(std::byte* memory, std::int64_t n) {
  for (std::int64_t i = n; i-- > 0;) {
    tensor::bf16 v;
    std::memcpy(&v, memory + 2 * i, sizeof v);
    const float f = tensor::to_float(v);
    std::memcpy(memory + 4 * i, &f, sizeof f);
  }
}

}  // namespace

Status Model::read_panel(base::Isa isa, const WeightSource& source, std::size_t index,
                         std::int64_t panel, std::byte* rows) const {
  const WeightSpec& w = table_[index];
  const std::int64_t first = panel * kPanel, n = std::min<std::int64_t>(kPanel, w.shape[0] - first);
  BELAY_RETURN_IF_ERROR(source.read(index, first, n, rows));
  tensor::View view{rows, {n, w.shape[1]}, source.type(index)};
  std::vector<Held> to;  // what is narrow first: rows are widened once
  if (w.role == Role::kEmbedding && lookup_.forward != held_[index].forward) to = {lookup_};
  if (held_[index].forward >= 0) to.push_back(held_[index]);
  for (const Held& held : to) {
    if (held.packed == DType::kF32 && view.dtype == DType::kBF16) {
      widen_in_place(rows, view.count());
      view.dtype = DType::kF32;
    }
    ops::pack_panel(isa, view, first, packed(held, index, true));
  }
  return {};
}

Status Model::read(base::Context& ctx, const WeightSource& source) {
  std::vector<std::pair<std::size_t, std::int64_t>> panels;  // of all matrices
  std::int64_t widest = 0;
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (!table_[i].is_matrix()) continue;
    const std::int64_t n = ops::ceil_div(table_[i].shape[0], kPanel);
    for (std::int64_t panel = 0; panel < n; ++panel) panels.emplace_back(i, panel);
    widest = std::max(widest, table_[i].shape[1]);
  }
  FirstError verified(table_.size());
  ctx.threads.parallel(std::ssize(table_), [&](std::int64_t i, int) {
    const auto index = static_cast<std::size_t>(i);
    verified.set(index, source.verify(index));
  });
  BELAY_RETURN_IF_ERROR(verified.get());
  for (std::size_t i = 0; i < table_.size(); ++i) {
    if (table_[i].is_matrix()) continue;
    const tensor::View v = master(i);
    BELAY_RETURN_IF_ERROR(source.read(i, 0, v.count(), static_cast<std::byte*>(v.data)));
  }
  const std::int64_t room = kPanel * widest * 4;  // no type takes more
  const base::Buffer rows(room * ctx.threads.size());
  FirstError packed(panels.size());
  ctx.threads.parallel(std::ssize(panels), [&](std::int64_t i, int worker) {
    if (packed.any()) return;
    const auto [index, panel] = panels[static_cast<std::size_t>(i)];
    packed.set(static_cast<std::size_t>(i),
               read_panel(ctx.isa, source, index, panel, rows.data() + worker * room));
  });
  return packed.get();
}

}  // namespace belay::model
