#include "ops/swiglu.h"

#include "ops/matmul.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

constexpr std::int64_t kRows = 32;

class Swiglu final : public tensor::Op {
 public:
  std::string_view name() const override { return "swiglu"; }
  void forward(const tensor::Call& c) const override { swiglu_forward(c.ctx, c.in[0], c.out[0]); }
  void backward(const tensor::Call& c) const override {
    swiglu_backward(c.ctx, c.in[0], c.d_out[0], c.d_in[0]);
  }
  tensor::Uses backward_uses() const override { return {0b1, 0}; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    return {6 * static_cast<double>(c.out[0].count()), 3 * static_cast<double>(c.out[0].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    return {11 * static_cast<double>(c.d_out[0].count()),
            5 * static_cast<double>(c.d_out[0].bytes())};
  }
};

std::byte* row(const tensor::View& v, std::int64_t r) {
  return static_cast<std::byte*>(v.data) + r * v.shape[1] * tensor::dtype_bytes(v.dtype);
}

}  // namespace

void swiglu_forward(base::Context& ctx, const tensor::View& gu, const tensor::View& a) {
  const auto run = simd::kernels(ctx.isa).swiglu_forward[type_index(gu.dtype)];
  for_chunks(ctx, gu.shape[0], kRows, [&](std::int64_t begin, std::int64_t end, int) {
    run({.gu = row(gu, begin), .out = row(a, begin), .rows = end - begin, .width = a.shape[1]});
  });
}

void swiglu_backward(base::Context& ctx, const tensor::View& gu, const tensor::View& da,
                     const tensor::View& d_gu) {
  const auto run = simd::kernels(ctx.isa).swiglu_backward[type_index(gu.dtype)];
  for_chunks(ctx, gu.shape[0], kRows, [&](std::int64_t begin, std::int64_t end, int) {
    run({.gu = row(gu, begin),
         .out = nullptr,
         .d_out = row(da, begin),
         .d_gu = row(d_gu, begin),
         .rows = end - begin,
         .width = da.shape[1]});
  });
}

tensor::Id swiglu(tensor::Tape& tape, tensor::Id gu) {
  const tensor::Value& v = tape.value(gu);
  const tensor::Id a = tape.make({v.shape[0], v.shape[1] / 2}, v.dtype);

  tape.call(std::make_shared<Swiglu>(), {gu}, {a});
  return a;
}

}  // namespace belay::ops
