#include "ops/embedding.h"

#include <cstring>

#include "ops/matmul.h"
#include "ops/quantized.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kColumns = 64;

class Embedding final : public tensor::Op {
 public:
  std::string_view name() const override { return "embedding"; }
  // in: ids, rows, packed (either of the two).  out: x.
  void forward(const tensor::Call& c) const override {
    if (c.in[1]) return embedding_forward(c.ctx, c.in[0], c.in[1], c.out[0]);
    embedding_packed(c.ctx, c.in[0], c.in[2], c.out[0]);
  }
  void backward(const tensor::Call& c) const override {
    embedding_backward(c.ctx, c.in[0], c.d_out[0], c.d_in[1], c.adds(1));
  }
  tensor::Uses backward_uses() const override { return {0b01, 0}; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    return {0, 2.0 * static_cast<double>(c.out[0].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    const auto n = static_cast<double>(c.d_out[0].count());
    return {n, 12 * n};
  }
};

}  // namespace

void embedding_forward(base::Context& ctx, const tensor::View& ids, const tensor::View& weight,
                       const tensor::View& x) {
  const std::int64_t width = weight.shape[1];
  for_chunks(ctx, ids.count(), kRows, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t t = begin; t < end; ++t) {
      std::memcpy(x.f32() + t * width, weight.f32() + ids.i32()[t] * width,
                  static_cast<std::size_t>(width) * sizeof(float));
    }
  });
}

void embedding_backward(base::Context& ctx, const tensor::View& ids, const tensor::View& dx,
                        const tensor::View& d_weight, bool add) {
  const simd::Kernels& k = simd::kernels(ctx.isa);
  const std::int64_t width = d_weight.shape[1];
  if (!add) {
    for_chunks(ctx, d_weight.shape[0], 256, [&](std::int64_t begin, std::int64_t end, int) {
      std::memset(d_weight.f32() + begin * width, 0,
                  static_cast<std::size_t>((end - begin) * width) * sizeof(float));
    });
  }
  for_chunks(ctx, width, kColumns, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t t = 0; t < ids.count(); ++t) {
      k.add_row(d_weight.f32() + ids.i32()[t] * width + begin, dx.f32() + t * width + begin,
                end - begin);
    }
  });
}

void embedding_packed(base::Context& ctx, const tensor::View& ids, const tensor::View& packed,
                      const tensor::View& x) {
  const std::int64_t width = x.shape[1];
  for_chunks(ctx, ids.count(), 1, [&](std::int64_t t, std::int64_t, int) {
    unpack_row(packed, ids.i32()[t], width, x.f32() + t * width);
  });
}

tensor::Id embedding(tensor::Tape& tape, tensor::Id ids, tensor::Id weight) {
  return embedding(tape, ids, Matrix{.master = weight});
}

tensor::Id embedding(tensor::Tape& tape, tensor::Id ids, const Matrix& table) {
  const tensor::Id x =
      tape.make({tape.value(ids).shape[0], tape.value(table.master).shape[1]}, tensor::DType::kF32);
  tape.call(std::make_shared<Embedding>(), {ids, table.master, table.forward}, {x});
  return x;
}

}  // namespace belay::ops
