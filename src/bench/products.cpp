#include "bench/products.h"

#include <algorithm>

#include "bench/operands.h"
#include "ops/matmul.h"
#include "ops/output_head.h"

namespace belay::bench {
namespace {

using tensor::DType;
using tensor::Node;
using tensor::Phase;
using tensor::View;

/// Adds products to a list in which each kind stands once.
class Counter {
 public:
  void add(Pass pass, std::int64_t rows, std::int64_t in, std::int64_t out) {
    for (StepProduct& p : list) {
      if (p.pass == pass && p.rows == rows && p.in == in && p.out == out) {
        ++p.calls;
        return;
      }
    }
    list.push_back({.pass = pass, .rows = rows, .in = in, .out = out, .calls = 1});
  }
  std::vector<StepProduct> list;
};

void add_linear(Counter& counter, const tensor::Tape& tape, const Node& node) {
  if (node.phase != Phase::kBackward) {
    const tensor::Shape& y = tape.value(node.out[0]).shape;
    return counter.add(Pass::kForward, y[0], tape.value(node.in[0]).shape[1], y[1]);
  }
  const tensor::Shape& dy = tape.value(node.d_out[0]).shape;
  const std::int64_t in = tape.value(node.in[0]).shape[1];
  if (node.d_in[0] != tensor::kNone) counter.add(Pass::kInputGradient, dy[0], in, dy[1]);
  if (node.d_in[1] != tensor::kNone) counter.add(Pass::kWeightGradient, dy[0], in, dy[1]);
}

void add_head(Counter& counter, const tensor::Tape& tape, const Node& node, std::int64_t vocab) {
  const tensor::Shape& h = tape.value(node.in[0]).shape;
  for (std::int64_t first = 0; first < h[0]; first += ops::kHeadChunk) {
    const std::int64_t rows = std::min(ops::kHeadChunk, h[0] - first);
    counter.add(Pass::kForward, rows, h[1], vocab);
    if (node.phase != Phase::kBackward) continue;
    if (node.d_in[0] != tensor::kNone) counter.add(Pass::kInputGradient, rows, h[1], vocab);
    if (node.d_in[1] != tensor::kNone) counter.add(Pass::kWeightGradient, rows, h[1], vocab);
  }
}

/// y[m, n] = x[m, k] B, where B packs w: [out, in].
double time_multiply(base::Context& ctx, const StepProduct& p, DType dtype,
                     const Repeats& repeats) {
  const bool forward = p.pass == Pass::kForward;
  const std::int64_t k = forward ? p.in : p.out, n = forward ? p.out : p.in;
  const std::int64_t ldx = ops::round_up(k, 16), ldy = ops::round_up(n, 16);
  Operands operands(ctx);
  const View w = operands.random({p.out, p.in}, DType::kF32);
  const View b = operands.empty(
      forward ? ops::packed_forward_shape(p.out, p.in) : ops::packed_backward_shape(p.out, p.in),
      dtype);
  ops::pack_weight(ctx, w, forward ? b : View{}, forward ? View{} : b);
  const ops::Product product{.x = operands.random({p.rows, ldx}, dtype, k),
                             .b = b,
                             .y = operands.empty({p.rows, ldy}, dtype),
                             .m = p.rows,
                             .n = n,
                             .k = k,
                             .ldx = ldx,
                             .ldy = ldy};
  return best_seconds(repeats, [&] { ops::multiply(ctx, product); });
}

double time_outer(base::Context& ctx, const StepProduct& p, DType dtype, const Repeats& repeats) {
  const std::int64_t ld_dy = ops::round_up(p.out, 16), ldx = ops::round_up(p.in, 16);
  Operands operands(ctx);
  const std::int64_t scratch =
      ops::multiply_transposed_scratch(p.rows, p.in, dtype, ctx.threads.size());
  const ops::OuterProduct product{
      .dy = operands.random({p.rows, ld_dy}, dtype, p.out),
      .x = operands.random({p.rows, ldx}, dtype, p.in),
      .dw = operands.empty({p.out, p.in}, DType::kF32),
      .m = p.rows,
      .n = p.out,
      .k = p.in,
      .ld_dy = ld_dy,
      .ldx = ldx,
      .scratch = static_cast<std::byte*>(operands.empty({scratch}, DType::kF32).data)};
  return best_seconds(repeats, [&] { ops::multiply_transposed(ctx, product); });
}

}  // namespace

std::string_view pass_name(Pass pass) {
  switch (pass) {
    case Pass::kForward: return "forward";
    case Pass::kInputGradient: return "input gradient";
    case Pass::kWeightGradient: return "weight gradient";
  }
  return "?";
}

MatmulShape StepProduct::matmul() const {
  switch (pass) {
    case Pass::kForward: return {rows, out, in};
    case Pass::kInputGradient: return {rows, in, out};
    case Pass::kWeightGradient: return {out, in, rows, true};
  }
  return {};
}

std::vector<StepProduct> products_of(const tensor::Tape& tape, std::int64_t vocab) {
  Counter counter;
  for (const Node& node : tape.nodes()) {
    if (node.op->name() == "linear") add_linear(counter, tape, node);
    if (node.op->name() == "cross_entropy") add_head(counter, tape, node, vocab);
  }
  std::sort(counter.list.begin(), counter.list.end());
  return counter.list;
}

double time_product(base::Context& ctx, const StepProduct& product, DType dtype,
                    const Repeats& repeats) {
  return product.pass == Pass::kWeightGradient ? time_outer(ctx, product, dtype, repeats)
                                               : time_multiply(ctx, product, dtype, repeats);
}

double products_rate(const std::vector<StepProduct>& products) {
  double flops = 0, seconds = 0;
  for (const StepProduct& p : products) {
    flops += p.matmul().flops() * static_cast<double>(p.calls);
    seconds += p.seconds * static_cast<double>(p.calls);
  }
  return flops / seconds;
}

}  // namespace belay::bench
