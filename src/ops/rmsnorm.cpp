#include "ops/rmsnorm.h"

#include "ops/matmul.h"
#include "ops/partial_sums.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

class Rmsnorm final : public tensor::Op {
 public:
  Rmsnorm(float eps, bool residual) : eps_(eps), residual_(residual) {}
  std::string_view name() const override { return "rmsnorm"; }
  // in: x, delta, w.  out: h, rstd, then x' if there is a delta.
  void forward(const tensor::Call& c) const override {
    rmsnorm_forward(c.ctx, c.in[0], c.in[1], c.in[2], residual_ ? c.out[2] : tensor::View{},
                    c.out[0], c.out[1], eps_);
  }
  void backward(const tensor::Call& c) const override {
    rmsnorm_backward(c.ctx, {.x = residual_ ? c.out[2] : c.in[0],
                             .w = c.in[2],
                             .rstd = c.out[1],
                             .dh = c.d_out[0],
                             .dx_out = residual_ ? c.d_out[2] : tensor::View{},
                             .dx = c.d_in[0],
                             .d_delta = c.d_in[1],
                             .dw = c.d_in[2],
                             .add_dx = c.adds(0),
                             .add_dw = c.adds(2),
                             .scratch = c.scratch});
  }
  tensor::Uses backward_uses() const override {
    return residual_ ? tensor::Uses{0b100, 0b110} : tensor::Uses{0b101, 0b010};
  }
  int in_place(int i) const override { return residual_ && i == 0 ? 2 : -1; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    const auto n = static_cast<double>(c.out[0].count());
    return {4 * n, 4 * n + static_cast<double>(c.out[0].bytes()) * 2};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    const auto n = static_cast<double>(c.d_out[0].count());
    return {9 * n, 12 * n + static_cast<double>(c.d_out[0].bytes()) * 2};
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return c.d_out.empty() ? 0 : rmsnorm_scratch(c.d_out[0].shape[0], c.d_out[0].shape[1]);
  }

 private:
  float eps_;
  bool residual_;
};

}  // namespace

void rmsnorm_forward(base::Context& ctx, const tensor::View& x, const tensor::View& delta,
                     const tensor::View& w, const tensor::View& x_out, const tensor::View& h,
                     const tensor::View& rstd, float eps) {
  const auto run = simd::kernels(ctx.isa).norm_forward[type_index(h.dtype)];
  const std::int64_t width = x.shape[1], bytes = tensor::dtype_bytes(h.dtype);
  for_chunks(ctx, x.shape[0], kSumRows, [&](std::int64_t begin, std::int64_t end, int) {
    simd::NormRows a{};
    a.x = x.f32() + begin * width;
    a.delta = delta ? static_cast<std::byte*>(delta.data) + begin * width * bytes : nullptr;
    a.w = w.f32();
    a.x_out = x_out ? x_out.f32() + begin * width : nullptr;
    a.h = static_cast<std::byte*>(h.data) + begin * width * bytes;
    a.rstd = rstd ? rstd.f32() + begin : nullptr;
    a.rows = end - begin, a.width = width, a.eps = eps;
    run(a);
  });
}

std::int64_t rmsnorm_scratch(std::int64_t rows, std::int64_t width) {
  return partial_sums_bytes(rows, width);
}

void rmsnorm_backward(base::Context& ctx, const RmsnormGradient& g) {
  const auto run = simd::kernels(ctx.isa).norm_backward[type_index(g.dh.dtype)];
  const std::int64_t rows = g.dh.shape[0], width = g.dh.shape[1];
  const std::int64_t bytes = tensor::dtype_bytes(g.dh.dtype);
  PartialSums sums(g.dw ? g.scratch : nullptr, width);
  for_chunks(ctx, rows, kSumRows, [&](std::int64_t begin, std::int64_t end, int) {
    simd::NormRows a{};
    a.x = g.x.f32() + begin * width;
    a.w = g.w.f32();
    a.rstd = g.rstd.f32() + begin;
    a.dh = static_cast<std::byte*>(g.dh.data) + begin * width * bytes;
    a.dx_out = g.dx_out ? g.dx_out.f32() + begin * width : nullptr;
    a.dx = g.dx ? g.dx.f32() + begin * width : nullptr;
    a.d_delta =
        g.d_delta ? static_cast<std::byte*>(g.d_delta.data) + begin * width * bytes : nullptr;
    a.dw = sums.begin_chunk(begin / kSumRows);
    a.rows = end - begin, a.width = width, a.add = g.add_dx;
    run(a);
  });
  if (g.dw) sums.finish(ctx, rows, g.dw.f32(), g.add_dw);
}

Normed rmsnorm(tensor::Tape& tape, tensor::Id x, tensor::Id delta, tensor::Id w,
               tensor::DType dtype, float eps) {
  const tensor::Shape shape = tape.value(x).shape;
  const bool residual = delta != tensor::kNone;
  const tensor::Id h = tape.make(shape, dtype);
  const tensor::Id rstd = tape.make({shape[0]}, tensor::DType::kF32);
  std::vector<tensor::Id> out{h, rstd};
  if (residual) out.push_back(tape.make(shape, tensor::DType::kF32));
  tape.call(std::make_shared<Rmsnorm>(eps, residual), {x, delta, w}, out);
  return {residual ? out[2] : x, h};
}

}  // namespace belay::ops
