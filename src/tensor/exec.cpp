#include "tensor/exec.h"

#include <algorithm>
#include <chrono>

namespace belay::tensor {
namespace {

std::vector<View> shapes_of(const Tape& tape, const std::vector<Id>& ids) {
  std::vector<View> views;
  for (Id id : ids) {
    views.push_back(id == kNone ? View{}
                                : View{nullptr, tape.value(id).shape, tape.value(id).dtype});
  }
  return views;
}

/// The forward node's shapes, also where backward keeps no data; absent gradients stay absent.
std::int64_t scratch_of(base::Context& ctx, const Tape& tape) {
  std::int64_t most = 0;
  for (const Node& n : tape.nodes()) {
    const auto in = shapes_of(tape, n.in), out = shapes_of(tape, n.out);
    const auto d_in = shapes_of(tape, n.d_in), d_out = shapes_of(tape, n.d_out);
    most = std::max(most, n.op->scratch_bytes({ctx, in, out, d_in, d_out, n.add_to, nullptr}));
  }
  return most;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::int64_t Exec::measure(base::Context& ctx, const Tape& tape) {
  return plan_memory(tape, scratch_of(ctx, tape)).arena_bytes;
}

Exec::Exec(base::Context& ctx, Tape tape, std::byte* arena)
    : ctx_(ctx),
      tape_(std::move(tape)),
      plan_(plan_memory(tape_, scratch_of(ctx, tape_))),
      own_(arena == nullptr ? plan_.arena_bytes : 0),
      arena_(arena == nullptr ? own_.data() : arena) {
  for (const Node& n : tape_.nodes()) {
    Bound b;
    b.in = resolve(n.in);
    b.out = resolve(n.out);
    b.d_in = resolve(n.d_in);
    b.d_out = resolve(n.d_out);
    b.add_to = n.add_to;
    for (std::size_t i = 0; i < n.d_in.size(); ++i) {
      if (n.d_in[i] != kNone && tape_.value(n.d_in[i]).is_external) b.add_external |= 1u << i;
    }
    const Call call{ctx_, b.in, b.out, b.d_in, b.d_out, b.add_to, nullptr};
    b.cost = n.phase == Phase::kBackward ? n.op->backward_cost(call) : n.op->forward_cost(call);
    if (n.phase == Phase::kBackward && n.op->is_loss()) {
      const Cost forward = n.op->forward_cost(call);
      b.cost.flops += forward.flops;
      b.cost.bytes += forward.bytes;
    }
    bound_.push_back(std::move(b));
  }
}

std::vector<View> Exec::resolve(const std::vector<Id>& ids) const {
  std::vector<View> views;
  for (Id id : ids) views.push_back(id == kNone ? View{} : view(id));
  return views;
}

View Exec::view(Id id) const {
  const Value& v = tape_.value(id);
  const std::int64_t offset = plan_.offset[static_cast<std::size_t>(id)];
  void* data = v.is_external ? v.external : offset < 0 ? nullptr : arena_ + offset;
  return {data, v.shape, v.dtype};
}

View Exec::grad(Id id) const { return tape_.grad(id) == kNone ? View{} : view(tape_.grad(id)); }

void Exec::replay(bool add_weight_grads) {
  std::byte* scratch = arena_ + plan_.scratch_offset;
  for (std::size_t i = 0; i < bound_.size(); ++i) {
    const Node& n = tape_.nodes()[i];
    Bound& b = bound_[i];
    const std::uint32_t add_to = add_weight_grads ? b.add_to | b.add_external : b.add_to;
    const Call call{ctx_, b.in, b.out, b.d_in, b.d_out, add_to, scratch};
    const double start = profiling_ ? seconds_now() : 0;
    if (n.phase == Phase::kBackward)
      n.op->backward(call);
    else
      n.op->forward(call);
    if (!profiling_) continue;
    b.seconds += seconds_now() - start;
    ++b.calls;
  }
}

double Exec::flops() const {
  double total = 0;
  for (const Bound& b : bound_) total += b.cost.flops;
  return total;
}

std::vector<ProfileRow> Exec::profile_rows() const {
  static constexpr std::string_view kPhase[] = {"", " again", " backward"};
  std::map<std::string, ProfileRow> rows;
  for (std::size_t i = 0; i < bound_.size(); ++i) {
    const Node& n = tape_.nodes()[i];
    ProfileRow& row =
        rows[std::string(n.op->name()) + std::string(kPhase[static_cast<int>(n.phase)])];
    const Bound& b = bound_[i];
    row.seconds += b.seconds;
    row.flops += b.cost.flops * static_cast<double>(b.calls);
    row.bytes += b.cost.bytes * static_cast<double>(b.calls);
    row.calls += b.calls;
  }
  std::vector<ProfileRow> list;
  for (auto& [name, row] : rows) {
    row.name = name;
    list.push_back(row);
  }
  std::sort(list.begin(), list.end(),
            [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
  return list;
}

}  // namespace belay::tensor
