#include "convert/calibrate.h"

#include <algorithm>

#include "base/buffer.h"
#include "model/batch.h"
#include "ops/matmul.h"
#include "tensor/exec.h"

namespace belay::convert {
namespace {

/// Bytes of the moments of one layer.
std::int64_t layer_bytes(const model::ModelConfig& c) {
  const std::int64_t heads = c.n_heads * c.head_dim;
  return 4 * (2 * c.hidden_size * c.hidden_size + heads * heads + c.ffn_size * c.ffn_size);
}

}  // namespace

Calibration::Calibration(base::Context& ctx, const model::Model& model, CalibrationText text,
                         std::int64_t memory)
    : ctx_(ctx), model_(model), text_(std::move(text)) {
  BELAY_CHECK(text_.window > 1 && std::ssize(text_.ids) >= text_.window, "a text of a window");
  layers_at_once_ = std::max<std::int64_t>(1, memory / layer_bytes(model.config()));
}

void Calibration::compute(std::int64_t first_layer) {
  ++passes_;
  held_.clear();
  tensor::Tape tape;
  model::Batch batch(text_.window);
  std::vector<model::MatrixInput> inputs;
  model::forward(tape, model_, batch.bind(tape),
                 {.longest = text_.window,
                  .inputs = &inputs,
                  .first_input = first_layer,
                  .end_input = first_layer + layers_at_once_});
  tensor::Exec exec(ctx_, std::move(tape));
  std::int64_t scratch_bytes = 0;
  for (const model::MatrixInput& input : inputs) {
    const std::int64_t width = exec.view(input.x).shape[1];
    held_.push_back({input.role, input.layer, width,
                     std::vector<float>(static_cast<std::size_t>(width * width))});
    scratch_bytes =
        std::max(scratch_bytes, ops::multiply_transposed_scratch(
                                    text_.window, width, model_.compute(), ctx_.threads.size()));
  }
  const base::Buffer scratch(scratch_bytes);
  const auto window = static_cast<std::size_t>(text_.window);
  const std::vector<std::int32_t> no_targets(window, -1);
  for (std::size_t begin = 0; begin + window <= text_.ids.size(); begin += window) {
    batch.set(std::span(text_.ids).subspan(begin, window), no_targets, {&text_.window, 1});
    exec.replay();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const tensor::View x = exec.view(inputs[i].x);
      const std::int64_t width = held_[i].width;
      ops::multiply_transposed(ctx_,
                               {.dy = x,
                                .x = x,
                                .dw = {held_[i].sum.data(), {width, width}, tensor::DType::kF32},
                                .m = text_.window,
                                .n = width,
                                .k = width,
                                .ld_dy = width,
                                .ldx = width,
                                .add = begin > 0,
                                .scratch = scratch.data()});
    }
  }
}

std::span<const float> Calibration::moments(model::Role role, std::int64_t layer) {
  const auto find = [&] {
    return std::find_if(held_.begin(), held_.end(),
                        [&](const Moments& m) { return m.role == role && m.layer == layer; });
  };
  if (find() == held_.end()) compute(layer);
  const auto found = find();
  BELAY_CHECK(found != held_.end(), "a matrix of a layer");
  return found->sum;
}

}  // namespace belay::convert
