// The tape: a linear record of operations on values, from which the backward pass is written once
// and which is then replayed every step. It is not a general autograd: no broadcasting, no double
// backward, and nothing runs while it is recorded. Recording only describes; exec.h plans memory
// and runs.
//
// Invariant: nodes are in execution order; every value is written by one node (gradients: first
// written, then added to, in node order), so results follow from the tape alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "tensor/shape.h"

namespace belay::tensor {

using Id = std::int32_t;
constexpr Id kNone = -1;

/// Floating-point operations and bytes that must move, of one pass.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

/// What an operation sees when it runs. A view whose data is null is absent (an optional input, a
/// gradient that nobody needs, or a forward value that backward said it does not read).
struct Call {
  base::Context& ctx;
  std::span<const View> in, out;      // forward values
  std::span<const View> d_in, d_out;  // their gradients (backward only)
  std::uint32_t add_to = 0;           // bit i: d_in[i] already holds a sum; add to it
  std::byte* scratch = nullptr;       // scratch_bytes(), 64-byte aligned

  bool adds(int i) const { return (add_to >> i & 1u) != 0; }
};

/// Bit masks over in and out.
struct Uses {
  std::uint32_t in = ~0u, out = ~0u;
};

class Op {
 public:
  virtual ~Op() = default;
  virtual std::string_view name() const = 0;
  virtual void forward(const Call& call) const = 0;
  virtual void backward(const Call& call) const = 0;
  /// Which forward values backward reads; the others need not be kept.
  virtual Uses backward_uses() const { return {}; }
  /// Of one forward and of one backward, for the shapes in call (data may be null).
  virtual Cost forward_cost(const Call& call) const = 0;
  virtual Cost backward_cost(const Call& call) const = 0;
  virtual std::int64_t scratch_bytes(const Call&) const { return 0; }
  /// The d_out whose memory d_in[i] may take (equal shapes and types), or -1: only where backward
  /// reads an element before it writes it.
  virtual int in_place(int) const { return -1; }
  /// A loss runs forward and backward as one pass: backward() computes out as well.
  virtual bool is_loss() const { return false; }
};

enum class Phase : std::uint8_t { kForward, kRecompute, kBackward };

struct Node {
  std::shared_ptr<const Op> op;
  Phase phase = Phase::kForward;
  std::vector<Id> in, out, d_in, d_out;
  std::uint32_t add_to = 0;
};

struct Value {
  Shape shape;
  DType dtype = DType::kF32;
  void* external = nullptr;  // memory from outside; null: planned
  bool is_external = false;
  bool needs_grad = false;
  bool recompute = false;  // not kept for backward: its producer runs again
  Id grad = kNone;
  std::int32_t producer = -1;
};

class Tape {
 public:
  /// Memory that outlives the tape: inputs, weights. Null data is allowed for planning only.
  Id external(const View& view);
  /// A weight with the gradient that backward sums into (grad null: not trained). The same memory
  /// gives the same id, so that the gradients of all its uses meet.
  Id weight(const View& view, const View& grad);
  /// A value that the plan gives memory.
  Id make(const Shape& shape, DType dtype);
  void call(std::shared_ptr<const Op> op, std::vector<Id> in, std::vector<Id> out);

  /// Values made from now on are (not) kept for backward but computed again there.
  void set_recompute(bool on) { recompute_ = on; }
  void recompute(Id id) { values_[static_cast<std::size_t>(id)].recompute = true; }
  void retain(Id id) { values_[static_cast<std::size_t>(id)].recompute = false; }
  /// Keeps a value's memory until the end of the tape, so that it can be read after a run.
  void keep(Id id) { kept_.push_back(id); }
  /// The value's gradient must be computed though no weight hangs on it (probes, tests).
  void want_grad(Id id) { values_[static_cast<std::size_t>(id)].needs_grad = true; }

  /// Appends the backward pass of everything recorded so far. The gradients of values whose `grad`
  /// was seeded with seed_grad() start it, and the loss operations.
  void backward();
  /// Names the external memory that holds the gradient of a value before backward runs.
  void seed_grad(Id id, const View& grad);

  const Value& value(Id id) const { return values_[static_cast<std::size_t>(id)]; }
  Id grad(Id id) const { return value(id).grad; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Id>& kept() const { return kept_; }

 private:
  struct Recomputed;
  Id available(Id id, Recomputed& done);
  Id grad_slot(Id id, bool& add);
  void backward_of(const Node& node, Recomputed& done);

  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<Id> kept_, weights_;
  std::vector<bool> grad_written_;
  bool recompute_ = false;
};

}  // namespace belay::tensor
