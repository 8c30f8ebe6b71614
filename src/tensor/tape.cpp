#include "tensor/tape.h"

#include <algorithm>

namespace belay::tensor {

Id Tape::external(const View& view) {
  Value v;
  v.shape = view.shape;
  v.dtype = view.dtype;
  v.external = view.data;
  v.is_external = true;
  values_.push_back(v);
  return static_cast<Id>(values_.size()) - 1;
}

Id Tape::weight(const View& view, const View& grad) {
  for (Id known : weights_) {
    if (value(known).external == view.data) return known;
  }
  const Id id = external(view);
  weights_.push_back(id);
  if (grad) {
    values_.back().needs_grad = true;
    const Id g = external(grad);
    values_[static_cast<std::size_t>(id)].grad = g;
  }
  return id;
}

Id Tape::make(const Shape& shape, DType dtype) {
  Value v;
  v.shape = shape;
  v.dtype = dtype;
  v.recompute = recompute_;
  values_.push_back(v);
  return static_cast<Id>(values_.size()) - 1;
}

void Tape::call(std::shared_ptr<const Op> op, std::vector<Id> in, std::vector<Id> out) {
  const bool needs =
      std::any_of(in.begin(), in.end(), [this](Id i) { return i != kNone && value(i).needs_grad; });
  for (Id o : out) {
    values_[static_cast<std::size_t>(o)].producer = static_cast<std::int32_t>(nodes_.size());
    if (needs) values_[static_cast<std::size_t>(o)].needs_grad = true;
  }
  nodes_.push_back({std::move(op), Phase::kForward, std::move(in), std::move(out), {}, {}, 0});
}

void Tape::seed_grad(Id id, const View& grad) {
  const Id g = external(grad);
  values_[static_cast<std::size_t>(id)].grad = g;
  grad_written_.resize(values_.size(), false);
  grad_written_[static_cast<std::size_t>(g)] = true;
}

/// For each value: the copy that backward reads in its place, once it has been computed again.
struct Tape::Recomputed {
  std::vector<Id> copy;
};

/// The id under which a forward value can be read now; runs its producer again if it was not kept.
Id Tape::available(Id id, Recomputed& done) {
  if (id == kNone || !value(id).recompute || value(id).producer < 0) return id;
  if (done.copy[static_cast<std::size_t>(id)] != kNone)
    return done.copy[static_cast<std::size_t>(id)];
  const Node source = nodes_[static_cast<std::size_t>(value(id).producer)];
  Node again{source.op, Phase::kRecompute, {}, {}, {}, {}, 0};
  for (Id i : source.in) again.in.push_back(available(i, done));
  for (Id o : source.out) {
    const bool recompute = recompute_;
    recompute_ = false;
    const Id copy = make(value(o).shape, value(o).dtype);
    recompute_ = recompute;
    done.copy[static_cast<std::size_t>(o)] = copy;
    again.out.push_back(copy);
  }
  nodes_.push_back(std::move(again));
  return done.copy[static_cast<std::size_t>(id)];
}

/// The value that receives the gradient of id, and whether it already holds a sum.
Id Tape::grad_slot(Id id, bool& add) {
  add = false;
  if (id == kNone || !value(id).needs_grad) return kNone;
  if (value(id).grad == kNone) {
    const bool recompute = recompute_;
    recompute_ = false;
    const Id g = make(value(id).shape, value(id).dtype);
    recompute_ = recompute;
    values_[static_cast<std::size_t>(id)].grad = g;
  }
  const Id g = value(id).grad;
  grad_written_.resize(values_.size(), false);
  add = grad_written_[static_cast<std::size_t>(g)];
  grad_written_[static_cast<std::size_t>(g)] = true;
  return g;
}

void Tape::backward_of(const Node& node, Recomputed& done) {
  const bool loss = node.op->is_loss();
  const bool reached = std::any_of(node.out.begin(), node.out.end(),
                                   [this](Id o) { return value(o).grad != kNone; });
  const bool wanted = std::any_of(node.in.begin(), node.in.end(),
                                  [this](Id i) { return i != kNone && value(i).needs_grad; });
  if (!wanted || (!loss && !reached)) return;
  Node b{node.op, Phase::kBackward, {}, {}, {}, {}, 0};
  const Uses uses = node.op->backward_uses();
  for (std::size_t i = 0; i < node.in.size(); ++i) {
    b.in.push_back((uses.in >> i & 1u) != 0 ? available(node.in[i], done) : kNone);
  }
  for (std::size_t i = 0; i < node.out.size(); ++i) {
    b.out.push_back(loss || (uses.out >> i & 1u) != 0 ? available(node.out[i], done) : kNone);
    b.d_out.push_back(value(node.out[i]).grad);
  }
  for (std::size_t i = 0; i < node.in.size(); ++i) {
    bool add = false;
    b.d_in.push_back(grad_slot(node.in[i], add));
    if (add) b.add_to |= 1u << i;
  }
  nodes_.push_back(std::move(b));
}

void Tape::backward() {
  Recomputed done{std::vector<Id>(values_.size() * 4 + 64, kNone)};
  grad_written_.resize(values_.size(), false);
  const std::size_t n_forward = nodes_.size();
  // A loss at the end of the tape runs once, as forward and backward together.
  std::vector<std::size_t> fused;
  for (std::size_t i = n_forward; i-- > 0;) {
    const Node node = nodes_[i];
    const std::size_t before = nodes_.size();
    backward_of(node, done);
    if (node.op->is_loss() && nodes_.size() != before) fused.push_back(i);
  }
  for (std::size_t i : fused) nodes_.erase(nodes_.begin() + static_cast<std::ptrdiff_t>(i));
}

}  // namespace belay::tensor
