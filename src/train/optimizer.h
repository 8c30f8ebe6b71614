// The optimizer: AdamW on every weight, or Muon on the hidden matrices and AdamW on the rest. Which
// weight belongs where stands in the weight table. After a step the packed copies are renewed.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "model/model.h"
#include "ops/adamw.h"

namespace belay::train {

struct OptimizerOptions {
  bool muon = false;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;         // of the global gradient norm; 0: none
  double muon_lr_ratio = 1;  // Muon's learning rate over AdamW's
  double muon_momentum = 0.95;
};

struct StepReport {
  double grad_norm = 0;
  bool finite = true;      // false: the step was skipped, nothing changed
  std::string not_finite;  // then the first weight whose gradient is not
};

class Optimizer {
 public:
  Optimizer(const model::Model& model, const OptimizerOptions& options);

  /// Applies the model's gradients at the given learning rate, then packs the weights again.
  StepReport step(base::Context& ctx, model::Model& model, double lr);

  /// Steps that were applied; bias correction follows from it.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  /// The state of a weight by table index, for checkpoints: AdamW's first moment or Muon's
  /// momentum, and AdamW's second moment (empty for a weight that Muon takes).
  std::span<float> first(const model::Model& model, std::size_t index) const;
  std::span<float> second(const model::Model& model, std::size_t index) const;

  std::int64_t bytes() const { return first_.bytes() + second_.bytes() + scratch_.bytes(); }
  static std::int64_t bytes_needed(const model::ModelConfig& config,
                                   const OptimizerOptions& options, tensor::DType compute);

 private:
  bool takes_muon(const model::WeightSpec& w) const { return options_.muon && w.muon; }
  float decay_of(const model::WeightSpec& w) const {
    return static_cast<float>(w.decay ? options_.weight_decay : 0);
  }
  void muon(base::Context& ctx, model::Model& model, double lr, float scale);
  void adamw(base::Context& ctx, model::Model& model, double lr, float scale);

  OptimizerOptions options_;
  std::int64_t steps_ = 0;
  // AdamW's moments; Muon's momentum lies in first_. Laid out like the masters.
  base::Buffer first_, second_, scratch_;
  std::vector<ops::AdamwTensor> adamw_;  // of the step at hand; its memory is taken once
};

}  // namespace belay::train
