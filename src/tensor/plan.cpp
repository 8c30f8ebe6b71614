#include "tensor/plan.h"

#include <algorithm>
#include <numeric>

namespace belay::tensor {
namespace {

struct Span {
  std::int64_t bytes = 0;
  int first = -1, last = -1;  // node indices
  Id root = kNone;            // the value whose memory this one takes
};

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void touch(std::vector<Span>& spans, Id id, int node) {
  if (id == kNone) return;
  Span& s = spans[static_cast<std::size_t>(id)];
  if (s.first < 0) s.first = node;
  s.last = std::max(s.last, node);
}

std::vector<Span> lifetimes(const Tape& tape) {
  std::vector<Span> spans(tape.values().size());
  int index = 0;
  for (const Node& n : tape.nodes()) {
    for (const auto* ids : {&n.in, &n.out, &n.d_in, &n.d_out}) {
      for (Id id : *ids) touch(spans, id, index);
    }
    ++index;
  }
  for (Id id : tape.kept()) touch(spans, id, index);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const Value& v = tape.values()[i];
    spans[i].bytes = v.is_external ? 0 : aligned(v.shape.count() * dtype_bytes(v.dtype));
    spans[i].root = static_cast<Id>(i);
  }
  return spans;
}

Id root_of(const std::vector<Span>& spans, Id id) {
  while (spans[static_cast<std::size_t>(id)].root != id)
    id = spans[static_cast<std::size_t>(id)].root;
  return id;
}

/// Lets a gradient that is made where another one dies take its memory, if the operation allows.
void share_in_place(const Tape& tape, std::vector<Span>& spans) {
  int index = -1;
  for (const Node& n : tape.nodes()) {
    ++index;
    if (n.phase != Phase::kBackward) continue;
    for (std::size_t i = 0; i < n.d_in.size(); ++i) {
      const int out = n.op->in_place(static_cast<int>(i));
      const Id to = n.d_in[i], from = out < 0 ? kNone : n.d_out[static_cast<std::size_t>(out)];
      if (to == kNone || from == kNone) continue;
      const Id root = root_of(spans, from);
      Span& target = spans[static_cast<std::size_t>(to)];
      Span& source = spans[static_cast<std::size_t>(root)];
      if (target.bytes != source.bytes || target.bytes == 0 || target.first != index) continue;
      if (source.last != index) continue;
      target.root = root;
      source.last = target.last;
    }
  }
}

/// The lowest gap among the placed spans that live at the same time.
std::int64_t lowest_gap(const std::vector<Span>& spans, const std::vector<std::int64_t>& offset,
                        const std::vector<Id>& placed, const Span& s) {
  std::vector<std::pair<std::int64_t, std::int64_t>> taken;
  for (Id id : placed) {
    const Span& p = spans[static_cast<std::size_t>(id)];
    if (p.last < s.first || s.last < p.first) continue;
    const std::int64_t begin = offset[static_cast<std::size_t>(id)];
    taken.emplace_back(begin, begin + p.bytes);
  }
  std::sort(taken.begin(), taken.end());
  std::int64_t at = 0;
  for (const auto& [begin, end] : taken) {
    if (at + s.bytes <= begin) break;
    at = std::max(at, end);
  }
  return at;
}

}  // namespace

Plan plan_memory(const Tape& tape, std::int64_t scratch_bytes) {
  std::vector<Span> spans = lifetimes(tape);
  share_in_place(tape, spans);
  std::vector<Id> order;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].bytes > 0 && spans[i].first >= 0 && spans[i].root == static_cast<Id>(i)) {
      order.push_back(static_cast<Id>(i));
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](Id a, Id b) {
    return spans[static_cast<std::size_t>(a)].bytes > spans[static_cast<std::size_t>(b)].bytes;
  });
  Plan plan;
  plan.offset.assign(spans.size(), -1);
  std::vector<Id> placed;
  for (Id id : order) {
    const Span& s = spans[static_cast<std::size_t>(id)];
    const std::int64_t at = lowest_gap(spans, plan.offset, placed, s);
    plan.offset[static_cast<std::size_t>(id)] = at;
    plan.scratch_offset = std::max(plan.scratch_offset, at + s.bytes);
    placed.push_back(id);
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].bytes > 0 && spans[i].first >= 0) {
      plan.offset[i] = plan.offset[static_cast<std::size_t>(root_of(spans, static_cast<Id>(i)))];
    }
  }
  plan.arena_bytes = plan.scratch_offset + aligned(scratch_bytes);
  return plan;
}

}  // namespace belay::tensor
