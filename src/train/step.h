// One training step: the recorded forward and backward of a micro-batch, replayed; the optimizer is
// beside.
#pragma once

#include <memory>

#include "model/batch.h"
#include "ops/output_head.h"
#include "tensor/exec.h"

namespace belay::train {

struct StepOptions {
  std::int64_t n_tokens = 0;  // of a micro-batch
  std::int64_t longest = 0;   // document
  bool checkpoint = false;    // recompute blocks in backward
  double z_loss = 0;          // ops/output_head.h
};

class Step {
 public:
  Step(base::Context& ctx, const model::Model& model, const StepOptions& options);

  model::Batch& batch() { return batch_; }
  /// Gradients of the batch's loss into the model (added to what is there for a further
  /// micro-batch). Returns the loss: the weighted sum of the batch's -log p.
  float run(bool add_to_gradients = false);
  std::span<const float> logprobs() const;
  tensor::Exec& exec() { return *exec_; }

  /// Arena bytes of such a step, without taking them.
  static std::int64_t arena_bytes(base::Context& ctx, const model::Model& model,
                                  const StepOptions& options);

 private:
  static tensor::Tape record(const model::Model& model, model::Batch& batch,
                             const StepOptions& options, ops::Loss& loss);
  model::Batch batch_;
  ops::Loss loss_{};
  std::unique_ptr<tensor::Exec> exec_;
};

}  // namespace belay::train
