// Runs a tape: resolves its values to memory once, then replays it as often as wanted. A replay
// calls the operations in order and allocates nothing.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "tensor/plan.h"
#include "tensor/tape.h"

namespace belay::tensor {

/// Where the time of replays went, by operation and phase.
struct ProfileRow {
  std::string name;
  double seconds = 0, flops = 0, bytes = 0;
  std::int64_t calls = 0;
};

class Exec {
 public:
  /// Plans and takes the arena, or uses `arena`, which holds measure() bytes and which tapes may
  /// share that run one after the other. The tape must not change afterwards.
  Exec(base::Context& ctx, Tape tape, std::byte* arena = nullptr);

  /// Runs every node once. add_weight_grads: weight gradients are added to what they hold (a
  /// further micro-batch), else the first writer overwrites them.
  void replay(bool add_weight_grads = false);

  View view(Id id) const;
  View grad(Id id) const;
  const Tape& tape() const { return tape_; }
  std::int64_t arena_bytes() const { return plan_.arena_bytes; }
  double flops() const;

  void profile(bool on) { profiling_ = on; }
  std::vector<ProfileRow> profile_rows() const;

  /// Bytes of the arena that a tape needs, without taking it.
  static std::int64_t measure(base::Context& ctx, const Tape& tape);

 private:
  struct Bound {
    std::vector<View> in, out, d_in, d_out;
    std::uint32_t add_to = 0;        // within this tape
    std::uint32_t add_external = 0;  // d_in[i] is the gradient of a weight
    Cost cost;
    double seconds = 0;
    std::int64_t calls = 0;
  };
  std::vector<View> resolve(const std::vector<Id>& ids) const;

  base::Context& ctx_;
  Tape tape_;
  Plan plan_;
  base::Buffer own_;
  std::byte* arena_;
  std::vector<Bound> bound_;
  bool profiling_ = false;
};

}  // namespace belay::tensor
