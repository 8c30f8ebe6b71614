#include "train/step.h"

namespace belay::train {

tensor::Tape Step::record(const model::Model& model, model::Batch& batch,
                          const StepOptions& options, ops::Loss& loss) {
  tensor::Tape tape;
  const model::BatchIds ids = batch.bind(tape);
  const tensor::Id h = model::forward(
      tape, model, ids, {.longest = options.longest, .checkpoint = options.checkpoint});
  loss = ops::cross_entropy(tape, h, model::bind_head(tape, model), batch.bind_targets(tape),
                            batch.bind_weights(tape), static_cast<float>(options.z_loss));
  tape.backward();
  return tape;
}

Step::Step(base::Context& ctx, const model::Model& model, const StepOptions& options)
    : batch_(options.n_tokens) {
  exec_ = std::make_unique<tensor::Exec>(ctx, record(model, batch_, options, loss_));
}

float Step::run(bool add_to_gradients) {
  exec_->replay(add_to_gradients);
  return exec_->view(loss_.loss).f32()[0];
}

std::span<const float> Step::logprobs() const {
  const tensor::View v = exec_->view(loss_.logprob);
  return {v.f32(), static_cast<std::size_t>(v.count())};
}

std::int64_t Step::arena_bytes(base::Context& ctx, const model::Model& model,
                               const StepOptions& options) {
  model::Batch batch(options.n_tokens);
  ops::Loss loss{};
  return tensor::Exec::measure(ctx, record(model, batch, options, loss));
}

}  // namespace belay::train
