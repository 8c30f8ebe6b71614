#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw.h"
#include "ops/muon.h"

namespace belay::train {
namespace {

std::int64_t muon_scratch_of(const std::vector<model::WeightSpec>& table,
                             const OptimizerOptions& options, tensor::DType compute) {
  std::int64_t most = 0;
  for (const model::WeightSpec& w : table) {
    if (!options.muon || !w.muon) continue;
    most = std::max(most, ops::muon_scratch(w.shape[0], w.shape[1], compute));
  }
  return most;
}

/// Neighbours that are not frozen are summed in one run; the padding between them is zero.
double gradient_squares(base::Context& ctx, const model::Model& model) {
  double squares = 0;
  const std::size_t n = model.table().size();
  for (std::size_t i = 0; i < n; ++i) {
    if (model.frozen(i)) continue;
    const std::int64_t begin = model.offset(i);
    while (i < n && !model.frozen(i)) ++i;
    const std::int64_t end = i < n ? model.offset(i) : model.n_floats();
    squares += ops::sum_of_squares(ctx, model.gradients() + begin, end - begin);
  }
  return squares;
}

/// The first weight whose gradient is not finite; empty when only their sum of squares is not.
std::string first_not_finite(base::Context& ctx, const model::Model& model) {
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    const float* g = model.gradient(i).f32();
    const std::int64_t n = model.table()[i].shape.count();
    if (!model.frozen(i) && !std::isfinite(ops::sum_of_squares(ctx, g, n))) {
      return model.table()[i].name();
    }
  }
  return {};
}

}  // namespace

Optimizer::Optimizer(const model::Model& model, const OptimizerOptions& options)
    : options_(options),
      first_(model.n_floats() * 4),
      second_(model.n_floats() * 4),
      scratch_(muon_scratch_of(model.table(), options, model.compute())) {
  BELAY_CHECK(model.trained(), "the optimizer needs gradients");
  adamw_.reserve(model.table().size());
}

std::int64_t Optimizer::bytes_needed(const model::ModelConfig& config,
                                     const OptimizerOptions& options, tensor::DType compute) {
  return 2 * model::model_bytes(config, tensor::DType::kF32, false).master +
         muon_scratch_of(model::weight_table(config), options, compute);
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

void Optimizer::muon(base::Context& ctx, model::Model& model, double lr, float scale) {
  auto* momentum = reinterpret_cast<float*>(first_.data());
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    const model::WeightSpec& w = model.table()[i];
    if (model.frozen(i) || !takes_muon(w)) continue;
    ops::muon_step(ctx, model.master(i).f32(), model.gradient(i).f32(), momentum + model.offset(i),
                   w.shape[0], w.shape[1],
                   {.lr = static_cast<float>(lr * options_.muon_lr_ratio),
                    .momentum = static_cast<float>(options_.muon_momentum),
                    .decay = decay_of(w),
                    .grad_scale = scale,
                    .dtype = model.compute()},
                   scratch_.data());
  }
}

void Optimizer::adamw(base::Context& ctx, model::Model& model, double lr, float scale) {
  auto* first = reinterpret_cast<float*>(first_.data());
  auto* second = reinterpret_cast<float*>(second_.data());
  adamw_.clear();
  for (std::size_t i = 0; i < model.table().size(); ++i) {
    const model::WeightSpec& w = model.table()[i];
    if (model.frozen(i) || takes_muon(w)) continue;
    const std::int64_t at = model.offset(i);
    adamw_.push_back({model.master(i).f32(), model.gradient(i).f32(), first + at, second + at,
                      w.shape.count(), decay_of(w)});
  }
  ops::adamw_step(ctx, adamw_,
                  {.lr = static_cast<float>(lr),
                   .beta1 = static_cast<float>(options_.beta1),
                   .beta2 = static_cast<float>(options_.beta2),
                   .eps = static_cast<float>(options_.eps),
                   .step = steps_,
                   .grad_scale = scale});
}

StepReport Optimizer::step(base::Context& ctx, model::Model& model, double lr) {
  StepReport report;
  report.grad_norm = std::sqrt(gradient_squares(ctx, model));
  report.finite = std::isfinite(report.grad_norm);
  if (!report.finite) {
    report.not_finite = first_not_finite(ctx, model);
    return report;
  }
  const bool clipped = options_.clip > 0 && report.grad_norm > options_.clip;
  const auto scale = static_cast<float>(clipped ? options_.clip / report.grad_norm : 1.0);
  ++steps_;
  muon(ctx, model, lr, scale);
  adamw(ctx, model, lr, scale);
  model.pack(ctx);
  return report;
}

}  // namespace belay::train
