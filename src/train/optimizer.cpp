#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw.h"
#include "ops/matmul.h"
#include "ops/muon.h"

namespace belay::train {
namespace {

std::int64_t muon_scratch_of(const std::vector<model::WeightSpec>& table,
                             const OptimizerOptions& options) {
  std::int64_t most = 0;
  for (const model::WeightSpec& w : table) {
    if (options.muon && w.muon) most = std::max(most, ops::muon_scratch(w.shape[0], w.shape[1]));
  }
  return most;
}

}  // namespace

Optimizer::Optimizer(const model::Model& model, const OptimizerOptions& options)
    : options_(options),
      first_(model.n_floats() * 4),
      second_(model.n_floats() * 4),
      scratch_(muon_scratch_of(model.table(), options)) {
  BELAY_CHECK(model.trained(), "the optimizer needs gradients");
}

std::int64_t Optimizer::bytes_needed(const model::ModelConfig& config,
                                     const OptimizerOptions& options) {
  return 2 * model::model_bytes(config, tensor::DType::kF32, false).master +
         muon_scratch_of(model::weight_table(config), options);
}

std::span<float> Optimizer::first(const model::Model& model, std::size_t index) const {
  return {reinterpret_cast<float*>(first_.data()) + model.offset(index),
          static_cast<std::size_t>(model.table()[index].shape.count())};
}

std::span<float> Optimizer::second(const model::Model& model, std::size_t index) const {
  if (takes_muon(model.table()[index])) return {};
  return {reinterpret_cast<float*>(second_.data()) + model.offset(index),
          static_cast<std::size_t>(model.table()[index].shape.count())};
}

StepReport Optimizer::step(base::Context& ctx, model::Model& model, double lr) {
  StepReport report;
  double squares = 0;
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    if (model.frozen(i)) continue;
    squares += ops::sum_of_squares(ctx, model.gradient(i).f32(), model.table()[i].shape.count());
    if (report.not_finite.empty() && !std::isfinite(squares)) {
      report.not_finite = model.table()[i].name();
    }
  }
  report.grad_norm = std::sqrt(squares);
  report.finite = std::isfinite(report.grad_norm);
  if (!report.finite) return report;
  const bool clipped = options_.clip > 0 && report.grad_norm > options_.clip;
  const auto scale = static_cast<float>(clipped ? options_.clip / report.grad_norm : 1.0);
  ++steps_;
  auto* first = reinterpret_cast<float*>(first_.data());
  auto* second = reinterpret_cast<float*>(second_.data());
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    const model::WeightSpec& w = model.table()[i];
    if (model.frozen(i)) continue;
    const std::int64_t at = model.offset(i);
    const double decay = w.decay ? options_.weight_decay : 0;
    if (takes_muon(w)) {
      ops::muon_step(ctx, model.master(i).f32(), model.gradient(i).f32(), first + at, w.shape[0],
                     w.shape[1],
                     {.lr = static_cast<float>(lr * options_.muon_lr_ratio),
                      .momentum = static_cast<float>(options_.muon_momentum),
                      .decay = static_cast<float>(decay),
                      .grad_scale = scale,
                      .dtype = model.compute()},
                     scratch_.data());
    } else {
      ops::adamw_step(ctx, model.master(i).f32(), model.gradient(i).f32(), first + at, second + at,
                      w.shape.count(),
                      {.lr = static_cast<float>(lr),
                       .beta1 = static_cast<float>(options_.beta1),
                       .beta2 = static_cast<float>(options_.beta2),
                       .eps = static_cast<float>(options_.eps),
                       .decay = static_cast<float>(decay),
                       .step = steps_,
                       .grad_scale = scale});
    }
    model.pack(ctx, i);
  }
  return report;
}

}  // namespace belay::train
