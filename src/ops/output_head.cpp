#include "ops/output_head.h"

#include "base/status.h"
#include "ops/matmul.h"
#include "ops/quantized.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

using tensor::DType;
using tensor::View;

std::int64_t row_stride(std::int64_t vocab) { return round_up(vocab, 16); }

/// Scratch: f32 logits of each worker | d logits of a chunk (compute type) | outer product, or the
/// rows of a chunk quantized.
struct Layout {
  std::int64_t worker, chunk, total;
};
Layout layout_of(std::int64_t rows, std::int64_t vocab, std::int64_t width, DType dtype,
                 int n_threads, bool gradients, bool quantized) {
  const std::int64_t chunk_rows = std::min(rows, kHeadChunk);
  Layout l{};
  l.worker = round_up(std::min(rows, kHeadRows) * row_stride(vocab) * 4, 64);
  l.chunk =
      gradients ? round_up(chunk_rows * row_stride(vocab) * tensor::dtype_bytes(dtype), 64) : 0;
  l.total = l.worker * n_threads + l.chunk +
            (gradients ? multiply_transposed_scratch(chunk_rows, width, dtype, n_threads) : 0) +
            (quantized ? quantized_rows_bytes(chunk_rows, width) : 0);
  return l;
}

/// Rows of a chunk whose logits are wanted, from row `first` of h; `quantized` where the head is.
struct ChunkRows {
  const View& h;
  std::int64_t first;
  const QuantizedRows* quantized;
};

/// logits[m, V] of rows [row, row + m) of a chunk, by one worker.
void logits_rows(base::Context& ctx, const ChunkRows& from, const View& packed, std::int64_t vocab,
                 std::int64_t row, std::int64_t m, float* out, std::int64_t ld) {
  const simd::Kernels& k = simd::kernels(ctx.isa);
  const View& h = from.h;
  const bool bf16 = h.dtype == DType::kBF16;
  const std::int64_t pair = bf16 ? 2 : 1, width = h.shape[1];
  const std::int64_t panel = tensor::stored_bytes(packed.dtype, simd::kPanel * packed.shape[1]);
  for (std::int64_t column = 0; column < vocab; column += simd::kPanel) {
    const std::byte* b = static_cast<const std::byte*>(packed.data) + column / simd::kPanel * panel;
    const std::int64_t n = std::min(simd::kPanel, vocab - column);
    if (from.quantized != nullptr) {
      const QuantizedRows& q = *from.quantized;
      (packed.dtype == DType::kQ8 ? k.gemm_q8
                                  : k.gemm_q4)({.a = q.codes + row * q.groups * tensor::kQuantGroup,
                                                .a_scale = q.scale + row * q.groups,
                                                .a_sum = q.sum + row * q.groups,
                                                .groups = q.groups,
                                                .b = b,
                                                .m = m,
                                                .n = n,
                                                .c = out + column,
                                                .ldc = ld});
      continue;
    }
    simd::GemmPanel g{};
    const auto* bytes = static_cast<const std::byte*>(h.data) +
                        (from.first + row) * width * tensor::dtype_bytes(h.dtype);
    g.a = reinterpret_cast<const simd::Word*>(bytes), g.a_row = width / pair, g.a_step = 1;
    g.b = reinterpret_cast<const simd::Word*>(b), g.b_step = simd::kPanel;
    g.m = m, g.n = n;
    g.k = width / pair, g.k_block = reduction_block(width) / pair;
    g.c = out + column, g.ldc = ld;
    (bf16 ? k.gemm_bf16 : k.gemm_f32)(g);
  }
}

/// Log-probabilities of rows [first, last) and, with gradients, their d logits.
void head_chunk(base::Context& ctx, const HeadViews& v, std::int64_t first, std::int64_t last,
                const Layout& l, bool gradients) {
  const auto head_row = simd::kernels(ctx.isa).head_row[type_index(v.h.dtype)];
  const std::int64_t ld = row_stride(v.vocab), bytes = tensor::dtype_bytes(v.h.dtype);
  std::byte* d_logits = v.scratch + l.worker * ctx.threads.size();
  const std::int64_t width = v.h.shape[1];
  QuantizedRows quantized{};
  const bool is_quantized = tensor::is_quantized(v.forward.dtype);
  if (is_quantized) {
    View rows = v.h;
    rows.data = static_cast<std::byte*>(v.h.data) + first * width * bytes;
    quantized = quantize_rows(ctx, rows, last - first, width, width, d_logits + l.chunk);
  }
  const ChunkRows from{v.h, first, is_quantized ? &quantized : nullptr};
  for_chunks(ctx, last - first, kHeadRows, [&](std::int64_t begin, std::int64_t end, int worker) {
    auto* z = reinterpret_cast<float*>(v.scratch + worker * l.worker);
    logits_rows(ctx, from, v.forward, v.vocab, begin, end - begin, z, ld);
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t t = first + r;
      std::byte* out = gradients ? d_logits + r * ld * bytes : nullptr;
      head_row({.logits = z + (r - begin) * ld,
                .vocab = v.vocab,
                .target = v.targets.i32()[t],
                .weight = v.weight ? v.weight.f32()[t] : 0,
                .z_loss = v.z_loss,
                .logprob = v.logprob.f32() + t,
                .out = out});
      if (out != nullptr) {  // the padding columns enter products as zeros
        std::fill(out + v.vocab * bytes, out + ld * bytes, std::byte{0});
      }
    }
  });
}

class Head final : public tensor::Op {
 public:
  Head(std::int64_t vocab, bool loss, float z_loss = 0)
      : vocab_(vocab), loss_(loss), z_loss_(z_loss) {}
  std::string_view name() const override { return loss_ ? "cross_entropy" : "logprob_gather"; }
  bool is_loss() const override { return loss_; }
  // in: h, master, packed forward, packed backward, targets, weight (loss).  out: logprob, loss
  // (loss).
  void forward(const tensor::Call& c) const override {
    HeadViews v = views(c);
    output_head(c.ctx, v);
    if (loss_) sum_loss(c);
  }
  void backward(const tensor::Call& c) const override {
    HeadViews v = views(c);
    v.backward = c.in[3];
    v.dh = c.d_in[0];
    v.dw = c.d_in[1];
    v.add_dw = c.adds(1);
    if (!loss_) {  // d log p = -weight
      float* weight = reinterpret_cast<float*>(c.scratch);
      for (std::int64_t t = 0; t < v.h.shape[0]; ++t) weight[t] = -c.d_out[0].f32()[t];
      v.weight = {weight, {v.h.shape[0]}, DType::kF32};
      v.logprob = {weight + round_up(v.h.shape[0], 16), {v.h.shape[0]}, DType::kF32};
      v.scratch += 2 * round_up(v.h.shape[0], 16) * 4;
    }
    output_head(c.ctx, v);
    if (loss_) sum_loss(c);
  }
  tensor::Uses backward_uses() const override { return {0b111101, loss_ ? 0b11u : 0u}; }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    const double n = static_cast<double>(c.in[0].count()) * static_cast<double>(vocab_);
    return {2 * n, static_cast<double>(c.in[0].bytes() + c.in[2].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    const tensor::Cost f = forward_cost(c);
    return {(loss_ ? 2 : 3) * f.flops, 3 * f.bytes};
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return 2 * round_up(c.in[0].shape[0], 16) * 4 +
           output_head_scratch(c.in[0].shape[0], vocab_, c.in[0].shape[1], c.in[0].dtype,
                               c.ctx.threads.size(), !c.d_in.empty(),
                               tensor::is_quantized(c.in[2].dtype));
  }

 private:
  HeadViews views(const tensor::Call& c) const {
    HeadViews v;
    v.h = c.in[0];
    v.forward = c.in[2];
    v.targets = c.in[4];
    v.logprob = c.out.empty() ? View{} : c.out[0];
    if (loss_) v.weight = c.in[5];
    v.z_loss = z_loss_;
    v.scratch = c.scratch;
    v.vocab = vocab_;
    return v;
  }
  /// In token order, in double.
  static void sum_loss(const tensor::Call& c) {
    double sum = 0;
    for (std::int64_t t = 0; t < c.out[0].count(); ++t) {
      sum -= static_cast<double>(c.in[5].f32()[t]) * static_cast<double>(c.out[0].f32()[t]);
    }
    c.out[1].f32()[0] = static_cast<float>(sum);
  }
  std::int64_t vocab_;
  bool loss_;
  float z_loss_;
};

class Logits final : public tensor::Op {
 public:
  std::string_view name() const override { return "logits"; }
  void forward(const tensor::Call& c) const override {
    ops::logits(c.ctx, c.in[0], c.in[2], c.out[0], c.scratch);
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return multiply_scratch(c.in[0].shape[0], c.in[0].shape[1], c.in[2].dtype);
  }
  void backward(const tensor::Call&) const override {}  // for sampling only
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    return {2 * static_cast<double>(c.out[0].count()) * static_cast<double>(c.in[0].shape[1]),
            static_cast<double>(c.in[2].bytes())};
  }
  tensor::Cost backward_cost(const tensor::Call&) const override { return {}; }
};

}  // namespace

std::int64_t output_head_scratch(std::int64_t rows, std::int64_t vocab, std::int64_t width,
                                 DType dtype, int n_threads, bool gradients, bool quantized) {
  return layout_of(rows, vocab, width, dtype, n_threads, gradients, quantized).total;
}

void output_head(base::Context& ctx, const HeadViews& v) {
  const std::int64_t rows = v.h.shape[0], width = v.h.shape[1], ld = row_stride(v.vocab);
  const bool gradients = v.dh || v.dw;
  const Layout l = layout_of(rows, v.vocab, width, v.h.dtype, ctx.threads.size(), gradients,
                             tensor::is_quantized(v.forward.dtype));
  for (std::int64_t first = 0; first < rows; first += kHeadChunk) {
    const std::int64_t last = std::min(rows, first + kHeadChunk), m = last - first;
    head_chunk(ctx, v, first, last, l, gradients);
    if (!gradients) continue;
    const View d_logits{v.scratch + l.worker * ctx.threads.size(), {m, ld}, v.h.dtype};
    const std::int64_t skip = first * width * tensor::dtype_bytes(v.h.dtype);
    const View h{static_cast<std::byte*>(v.h.data) + skip, {m, width}, v.h.dtype};
    if (v.dh) {
      const View dh{static_cast<std::byte*>(v.dh.data) + skip, {m, width}, v.h.dtype};
      multiply(ctx, {.x = d_logits,
                     .b = v.backward,
                     .y = dh,
                     .m = m,
                     .n = width,
                     .k = v.vocab,
                     .ldx = ld,
                     .ldy = width});
    }
    if (v.dw) {
      multiply_transposed(ctx, {.dy = d_logits,
                                .x = h,
                                .dw = v.dw,
                                .m = m,
                                .n = v.vocab,
                                .k = width,
                                .ld_dy = ld,
                                .ldx = width,
                                .add = v.add_dw || first > 0,
                                .scratch = v.scratch + l.worker * ctx.threads.size() + l.chunk});
    }
  }
}

void logits(base::Context& ctx, const View& h, const View& forward, const View& out,
            std::byte* scratch) {
  const std::int64_t width = h.shape[1], vocab = out.shape[1];
  multiply(ctx, {.x = h,
                 .b = forward,
                 .y = out,
                 .m = h.shape[0],
                 .n = vocab,
                 .k = width,
                 .ldx = width,
                 .ldy = vocab,
                 .scratch = scratch});
}

Softmax softmax(base::Context& ctx, std::span<const float> logits, float scale, std::span<float> e,
                std::span<float> sums) {
  BELAY_CHECK(e.size() == logits.size() && sums.size() >= softmax_blocks(logits.size()),
              "room for the row");
  static_assert(kSoftmaxBlock == simd::kSoftmaxBlock);
  Softmax result;
  result.scale = scale;
  simd::kernels(ctx.isa).softmax_row({.logits = logits.data(),
                                      .n = static_cast<simd::Index>(logits.size()),
                                      .scale = scale,
                                      .e = e.data(),
                                      .sums = sums.data(),
                                      .most = &result.most,
                                      .log_sum = &result.log_sum});
  return result;
}

Loss cross_entropy(tensor::Tape& tape, tensor::Id h, const Matrix& head, tensor::Id targets,
                   tensor::Id weight, float z_loss) {
  const tensor::Id logprob = tape.make({tape.value(h).shape[0]}, DType::kF32);
  const tensor::Id loss = tape.make({1}, DType::kF32);
  tape.keep(logprob);
  tape.keep(loss);
  tape.call(std::make_shared<Head>(tape.value(head.master).shape[0], true, z_loss),
            {h, head.master, head.forward, head.backward, targets, weight}, {logprob, loss});
  return {loss, logprob};
}

tensor::Id logprob_gather(tensor::Tape& tape, tensor::Id h, const Matrix& head,
                          tensor::Id targets) {
  const tensor::Id logprob = tape.make({tape.value(h).shape[0]}, DType::kF32);
  tape.keep(logprob);
  tape.call(std::make_shared<Head>(tape.value(head.master).shape[0], false),
            {h, head.master, head.forward, head.backward, targets}, {logprob});
  return logprob;
}

tensor::Id logits(tensor::Tape& tape, tensor::Id h, const Matrix& head) {
  const tensor::Id z =
      tape.make({tape.value(h).shape[0], tape.value(head.master).shape[0]}, DType::kF32);
  tape.keep(z);
  tape.call(std::make_shared<Logits>(), {h, head.master, head.forward}, {z});
  return z;
}

}  // namespace belay::ops
