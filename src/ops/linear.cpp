#include "ops/linear.h"

#include "base/status.h"
#include "ops/matmul.h"
#include "ops/partial_sums.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

class Linear final : public tensor::Op {
 public:
  std::string_view name() const override { return "linear"; }
  // in: x, master, packed forward, packed backward, bias.  out: y.
  void forward(const tensor::Call& c) const override {
    linear_forward(c.ctx, c.in[0], c.in[2], c.in[4], c.out[0], c.scratch);
  }
  void backward(const tensor::Call& c) const override {
    linear_backward(c.ctx, {.x = c.in[0],
                            .dy = c.d_out[0],
                            .packed = c.in[3],
                            .dx = c.d_in[0],
                            .dw = c.d_in[1],
                            .d_bias = c.d_in[4],
                            .add_dx = c.adds(0),
                            .add_dw = c.adds(1),
                            .add_d_bias = c.adds(4),
                            .scratch = c.scratch});
  }
  tensor::Uses backward_uses() const override { return {0b01001, 0}; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    const auto y = static_cast<double>(c.out[0].count()),
               in = static_cast<double>(c.in[0].shape[1]);
    return {2 * y * in, static_cast<double>(c.in[0].bytes() + c.in[2].bytes() + c.out[0].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    const auto y = static_cast<double>(c.d_out[0].count()),
               in = static_cast<double>(c.in[0].shape[1]);
    const double products =
        (c.d_in[0].shape.rank() > 0 ? 1 : 0) + (c.d_in[1].shape.rank() > 0 ? 1 : 0);
    return {2 * y * in * products, static_cast<double>(c.d_out[0].bytes() + 2 * c.in[0].bytes())};
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    if (c.d_out.empty()) {
      return multiply_scratch(c.in[0].shape[0], c.in[0].shape[1], c.in[2].dtype);
    }
    return linear_scratch(c.in[0].shape[0], c.in[0].shape[1], c.d_out[0].shape[1], c.in[0].dtype,
                          c.ctx.threads.size());
  }
};

/// d_bias[o] (+)= sum over rows of dy[row, o].
void bias_gradient(base::Context& ctx, const LinearGradient& g) {
  const std::int64_t rows = g.dy.shape[0], width = g.dy.shape[1];
  const auto add = simd::kernels(ctx.isa).add_converted[type_index(g.dy.dtype)];
  PartialSums sums(g.scratch, width);
  for_chunks(ctx, rows, kSumRows, [&](std::int64_t begin, std::int64_t end, int) {
    float* to = sums.begin_chunk(begin / kSumRows);
    const auto* from = static_cast<const std::byte*>(g.dy.data);
    const std::int64_t row_bytes = width * tensor::dtype_bytes(g.dy.dtype);
    for (std::int64_t r = begin; r < end; ++r) add(to, from + r * row_bytes, width);
  });
  sums.finish(ctx, rows, g.d_bias.f32(), g.add_d_bias);
}

}  // namespace

void linear_forward(base::Context& ctx, const tensor::View& x, const tensor::View& packed,
                    const tensor::View& bias, const tensor::View& y, std::byte* scratch) {
  const std::int64_t in = x.shape[1], out = y.shape[1];
  multiply(ctx, {.x = x,
                 .b = packed,
                 .y = y,
                 .m = x.shape[0],
                 .n = out,
                 .k = in,
                 .ldx = in,
                 .ldy = out,
                 .bias = bias ? bias.f32() : nullptr,
                 .scratch = scratch});
}

void linear_backward(base::Context& ctx, const LinearGradient& g) {
  const std::int64_t rows = g.x.shape[0], in = g.x.shape[1], out = g.dy.shape[1];
  BELAY_CHECK(!g.dx || !g.add_dx, "the input of a linear operation has one consumer");
  const Product to_dx{
      .x = g.dy, .b = g.packed, .y = g.dx, .m = rows, .n = in, .k = out, .ldx = out, .ldy = in};
  if (g.dx && !g.dw) multiply(ctx, to_dx);
  if (g.dw) {
    multiply_transposed(ctx,
                        {.dy = g.dy,
                         .x = g.x,
                         .dw = g.dw,
                         .m = rows,
                         .n = out,
                         .k = in,
                         .ld_dy = out,
                         .ldx = in,
                         .add = g.add_dw,
                         .scratch = g.scratch},
                        g.dx ? &to_dx : nullptr);
  }
  if (g.d_bias) bias_gradient(ctx, g);
}

std::int64_t linear_scratch(std::int64_t rows, std::int64_t in, std::int64_t out,
                            tensor::DType dtype, int n_threads) {
  return std::max(multiply_transposed_scratch(rows, in, dtype, n_threads),
                  partial_sums_bytes(rows, out));
}

tensor::Id linear(tensor::Tape& tape, tensor::Id x, const Matrix& w, tensor::Id bias) {
  const tensor::Value& v = tape.value(x);
  const tensor::Id y = tape.make({v.shape[0], tape.value(w.master).shape[0]}, v.dtype);
  tape.call(std::make_shared<Linear>(), {x, w.master, w.forward, w.backward, bias}, {y});
  return y;
}

}  // namespace belay::ops
