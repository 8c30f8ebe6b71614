#include "ops/rope.h"

#include <numbers>

#include "ops/matmul.h"
#include "ops/partial_sums.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

constexpr std::int64_t kKeptBytes = 4
                                    << 20;  // a smaller output is kept: it costs less than its time

class Rope final : public tensor::Op {
 public:
  explicit Rope(const RopeShape& shape) : shape_(shape) {}
  std::string_view name() const override { return "rope"; }
  // in: qkv, positions, cos, sin, q_weight, k_weight.  out: turned qkv.
  void forward(const tensor::Call& c) const override { rope_forward(c.ctx, shape_, views(c)); }
  void backward(const tensor::Call& c) const override {
    RopeViews v = views(c);
    v.d_out = c.d_out[0];
    v.d_qkv = c.d_in[0];
    v.dq_weight = c.d_in[4];
    v.dk_weight = c.d_in[5];
    v.add_dq = c.adds(4);
    v.add_dk = c.adds(5);
    v.scratch = c.scratch;
    rope_backward(c.ctx, shape_, v);
  }
  tensor::Uses backward_uses() const override { return {0b111111, 0}; }
  int in_place(int i) const override { return i == 0 ? 0 : -1; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    return {10 * static_cast<double>(c.out[0].count()), 2 * static_cast<double>(c.out[0].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    return {20 * static_cast<double>(c.d_out[0].count()),
            3 * static_cast<double>(c.d_out[0].bytes())};
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return c.d_out.empty() ? 0 : 2 * partial_sums_bytes(c.d_out[0].shape[0], shape_.head_dim);
  }

 private:
  static RopeViews views(const tensor::Call& c) {
    RopeViews v;
    v.qkv = c.in[0];
    v.out = c.out[0];
    v.positions = c.in[1];
    v.cos = c.in[2];
    v.sin = c.in[3];
    v.q_weight = c.in[4];
    v.k_weight = c.in[5];
    return v;
  }
  RopeShape shape_;
};

simd::RopeRows rows_of(const RopeShape& s, const RopeViews& v, std::int64_t begin,
                       std::int64_t end) {
  const tensor::View& any = v.qkv ? v.qkv : v.d_out;
  const std::int64_t row_bytes = any.shape[1] * tensor::dtype_bytes(any.dtype);
  const auto at = [&](const tensor::View& view) {
    return view ? static_cast<std::byte*>(view.data) + begin * row_bytes : nullptr;
  };
  simd::RopeRows a{};
  a.in = at(v.qkv), a.out = at(v.out), a.d_out = at(v.d_out), a.d_in = at(v.d_qkv);
  a.positions = v.positions.i32() + begin;
  a.cos = v.cos.f32(), a.sin = v.sin.f32();
  a.q_weight = v.q_weight ? v.q_weight.f32() : nullptr;
  a.k_weight = v.k_weight ? v.k_weight.f32() : nullptr;
  a.rows = end - begin, a.n_heads = s.n_heads, a.n_kv_heads = s.n_kv_heads, a.head_dim = s.head_dim;
  a.eps = s.eps;
  return a;
}

}  // namespace

RopeTable rope_table(std::int64_t positions, std::int64_t head_dim, double theta,
                     const std::optional<RopeScaling>& scaling) {
  const std::int64_t half = head_dim / 2;
  RopeTable table;
  table.cos.resize(static_cast<std::size_t>(positions * half));
  table.sin.resize(table.cos.size());
  for (std::int64_t i = 0; i < half; ++i) {
    double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (scaling) {
      const double length = 2 * std::numbers::pi / frequency,
                   original = scaling->original_max_position;
      const double low = original / scaling->low_freq_factor,
                   high = original / scaling->high_freq_factor;
      const double smooth = (original / length - scaling->low_freq_factor) /
                            (scaling->high_freq_factor - scaling->low_freq_factor);
      if (length > low) {
        frequency /= scaling->factor;
      } else if (length >= high) {
        frequency = (1 - smooth) * frequency / scaling->factor + smooth * frequency;
      }
    }
    for (std::int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      table.cos[static_cast<std::size_t>(p * half + i)] = static_cast<float>(std::cos(angle));
      table.sin[static_cast<std::size_t>(p * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

void rope_forward(base::Context& ctx, const RopeShape& s, const RopeViews& v) {
  const auto run = simd::kernels(ctx.isa).rope_forward[type_index(v.qkv.dtype)];
  for_chunks(ctx, v.qkv.shape[0], kSumRows,
             [&](std::int64_t begin, std::int64_t end, int) { run(rows_of(s, v, begin, end)); });
}

void rope_backward(base::Context& ctx, const RopeShape& s, const RopeViews& v) {
  const auto run = simd::kernels(ctx.isa).rope_backward[type_index(v.d_out.dtype)];
  const std::int64_t rows = v.d_out.shape[0];
  std::byte* second = v.scratch + partial_sums_bytes(rows, s.head_dim);
  const PartialSums q(v.dq_weight ? v.scratch : nullptr, s.head_dim);
  const PartialSums k(v.dk_weight ? second : nullptr, s.head_dim);
  for_chunks(ctx, rows, kSumRows, [&](std::int64_t begin, std::int64_t end, int) {
    simd::RopeRows a = rows_of(s, v, begin, end);
    a.dq_weight = q.begin_chunk(begin / kSumRows);
    a.dk_weight = k.begin_chunk(begin / kSumRows);
    run(a);
  });
  if (v.dq_weight) q.finish(ctx, rows, v.dq_weight.f32(), v.add_dq);
  if (v.dk_weight) k.finish(ctx, rows, v.dk_weight.f32(), v.add_dk);
}

tensor::Id rope(tensor::Tape& tape, tensor::Id qkv, const RopeInputs& in, const RopeShape& shape) {
  const tensor::Value& v = tape.value(qkv);
  const std::int64_t qkv_bytes = v.shape.count() * tensor::dtype_bytes(v.dtype);
  const tensor::Id out = tape.make(v.shape, v.dtype);
  if (qkv_bytes > kKeptBytes) tape.recompute(out);
  tape.call(std::make_shared<Rope>(shape),
            {qkv, in.positions, in.cos, in.sin, in.q_weight, in.k_weight}, {out});
  return out;
}

}  // namespace belay::ops
