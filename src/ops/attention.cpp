#include "ops/attention.h"

#include "ops/matmul.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

float score_scale(std::int64_t head_dim) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

/// 32-bit words of a head in a page.
struct PageLayout {
  std::int64_t scales, keys, values;
  std::int64_t words() const { return scales + keys + values; }
};

PageLayout page_layout(std::int64_t head_dim, tensor::DType dtype, int kv_bits) {
  if (kv_bits == 8) {
    return {simd::kByteScaleWords, simd::byte_key_words(head_dim),
            simd::byte_value_words(head_dim)};
  }
  const std::int64_t bytes = tensor::dtype_bytes(dtype);
  return {0, simd::page_key_words(head_dim, bytes), simd::page_value_words(head_dim, bytes)};
}

std::int64_t paged_task_scratch(const AttentionShape& s) {
  return round_up(
      s.kv_bits == 8 ? simd::paged_bytes_scratch(s.head_dim) : simd::paged_scratch(s.head_dim), 64);
}

std::int64_t task_scratch(const AttentionShape& s, tensor::DType dtype) {
  return round_up(simd::attention_scratch(s.longest, s.head_dim, tensor::dtype_bytes(dtype)), 64);
}

/// The task of document [begin, end) and key/value head h; gradients are added by the caller.
simd::AttentionTask task_of(const AttentionShape& s, const tensor::View& qkv,
                            const tensor::View& out, const tensor::View& lse, std::int64_t begin,
                            std::int64_t end, std::int64_t h) {
  const std::int64_t bytes = tensor::dtype_bytes(qkv.dtype), ld = qkv.shape[1],
                     ld_out = out.shape[1];
  const std::int64_t group = s.n_heads / s.n_kv_heads;
  const auto* base = static_cast<const std::byte*>(qkv.data) + begin * ld * bytes;
  simd::AttentionTask a{};
  a.q = base + h * group * s.head_dim * bytes;
  a.k = base + (s.n_heads + h) * s.head_dim * bytes;
  a.v = base + (s.n_heads + s.n_kv_heads + h) * s.head_dim * bytes;
  a.out = static_cast<std::byte*>(out.data) + (begin * ld_out + h * group * s.head_dim) * bytes;
  a.lse = lse ? lse.f32() + h * group * lse.shape[1] + begin : nullptr;
  a.ld = a.ld_kv = ld, a.ld_out = ld_out, a.ld_lse = lse ? lse.shape[1] : 0;
  a.n_queries = a.n_keys = end - begin;
  a.first_query = 0, a.group = group, a.head_dim = s.head_dim, a.scale = score_scale(s.head_dim);
  a.window = s.window;
  return a;
}

double pairs_seen(std::int64_t rows, std::int64_t longest) {
  const auto t = static_cast<double>(std::min(rows, longest));
  return static_cast<double>(rows) * (t + 1) / 2;
}

class Attention final : public tensor::Op {
 public:
  explicit Attention(const AttentionShape& shape) : shape_(shape) {}
  std::string_view name() const override { return "attention"; }
  // in: qkv, docs.  out: o, lse.
  void forward(const tensor::Call& c) const override {
    attention_forward(c.ctx, shape_, c.in[0], c.in[1], c.out[0], c.out[1], c.scratch);
  }
  void backward(const tensor::Call& c) const override {
    attention_backward(c.ctx, shape_, c.in[0], c.in[1], c.out[0], c.out[1], c.d_out[0], c.d_in[0],
                       c.scratch);
  }
  tensor::Cost forward_cost(const tensor::Call& c) const override {
    const tensor::Shape out = c.out[0].shape;
    const auto bytes = static_cast<double>(c.in[0].bytes() + c.out[0].bytes());
    return {4 * static_cast<double>(out[1]) * pairs_seen(out[0], shape_.longest), bytes};
  }
  tensor::Cost backward_cost(const tensor::Call& c) const override {
    const tensor::Cost f = forward_cost(c);
    return {2.5 * f.flops, 3 * f.bytes};
  }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return attention_scratch(shape_, c.in[0].dtype, c.ctx.threads.size());
  }

 private:
  AttentionShape shape_;
};

class AttentionPaged final : public tensor::Op {
 public:
  explicit AttentionPaged(const AttentionShape& shape) : shape_(shape) {}
  std::string_view name() const override { return "attention (paged)"; }
  // in: qkv, segments, pages.  out: o.
  void forward(const tensor::Call& c) const override {
    ops::attention_paged(c.ctx, shape_, c.in[0], c.in[1], c.in[2], c.out[0], c.scratch);
  }
  void backward(const tensor::Call&) const override {}               // pages carry no gradient
  tensor::Cost forward_cost(const tensor::Call& c) const override {  // of a past half as long
    const auto past = static_cast<double>(shape_.longest) / 2;
    const auto row_bytes = static_cast<double>(c.in[2].shape[1]) * sizeof(simd::Word) / kPageTokens;
    return {4 * static_cast<double>(c.out[0].count()) * past, past * row_bytes};
  }
  tensor::Cost backward_cost(const tensor::Call&) const override { return {}; }
  std::int64_t scratch_bytes(const tensor::Call& c) const override {
    return attention_paged_scratch(shape_, c.ctx.threads.size());
  }

 private:
  AttentionShape shape_;
};

/// Calls run(task) for every document and key/value head.
template <class Run>
void for_documents(base::Context& ctx, const AttentionShape& s, const tensor::View& docs,
                   Run&& run) {
  const std::int32_t* d = docs.i32();
  ctx.threads.parallel(d[0] * s.n_kv_heads, [&](std::int64_t i, int worker) {
    const std::int64_t doc = i / s.n_kv_heads;
    run(d[1 + doc], d[2 + doc], i % s.n_kv_heads, worker);
  });
}

}  // namespace

std::int64_t attention_scratch(const AttentionShape& s, tensor::DType dtype, int n_threads) {
  return n_threads * task_scratch(s, dtype);
}

void attention_forward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                       const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                       std::byte* scratch) {
  const auto run = simd::kernels(ctx.isa).attention_forward[type_index(qkv.dtype)];
  for_documents(ctx, s, docs,
                [&](std::int64_t begin, std::int64_t end, std::int64_t h, int worker) {
                  simd::AttentionTask a = task_of(s, qkv, out, lse, begin, end, h);
                  a.scratch = scratch + worker * task_scratch(s, qkv.dtype);
                  run(a);
                });
}

void attention_backward(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                        const tensor::View& docs, const tensor::View& out, const tensor::View& lse,
                        const tensor::View& d_out, const tensor::View& d_qkv, std::byte* scratch) {
  const auto run = simd::kernels(ctx.isa).attention_backward[type_index(qkv.dtype)];
  for_documents(
      ctx, s, docs, [&](std::int64_t begin, std::int64_t end, std::int64_t h, int worker) {
        simd::AttentionTask a = task_of(s, qkv, out, lse, begin, end, h);
        simd::AttentionTask d = task_of(s, d_qkv, d_out, lse, begin, end, h);
        a.d_out = d.out;
        a.dq = const_cast<void*>(d.q), a.dk = const_cast<void*>(d.k), a.dv = const_cast<void*>(d.v);
        a.scratch = scratch + worker * task_scratch(s, qkv.dtype);
        run(a);
      });
}

std::int64_t page_words(std::int64_t n_kv_heads, std::int64_t head_dim, tensor::DType dtype,
                        int kv_bits) {
  return n_kv_heads * page_layout(head_dim, dtype, kv_bits).words();
}

std::int64_t attention_paged_scratch(const AttentionShape& s, int n_threads) {
  return n_threads * paged_task_scratch(s);
}

void attention_paged(base::Context& ctx, const AttentionShape& s, const tensor::View& qkv,
                     const tensor::View& segments, const tensor::View& pages,
                     const tensor::View& out, std::byte* scratch) {
  static_assert(kPageTokens == simd::kKeyBlock && sizeof(Segment) == 4 * sizeof(std::int32_t));
  const auto run = simd::kernels(ctx.isa).attention_paged[type_index(qkv.dtype)];
  const std::int32_t* memory = segments.i32();
  const auto* list = reinterpret_cast<const Segment*>(memory + 1);
  const PageLayout layout = page_layout(s.head_dim, qkv.dtype, s.kv_bits);
  ctx.threads.parallel(memory[0] * s.n_kv_heads, [&](std::int64_t i, int worker) {
    const Segment& segment = list[i / s.n_kv_heads];
    const std::int64_t h = i % s.n_kv_heads;
    simd::AttentionTask a = task_of(s, qkv, out, {}, segment.row, segment.row + segment.n_rows, h);
    a.first_query = segment.past, a.n_keys = segment.past + segment.n_rows;
    std::int32_t* head = pages.i32() + h * layout.words();
    a.page_scales = layout.scales > 0 ? reinterpret_cast<float*>(head) : nullptr;
    a.page_keys = head + layout.scales;
    a.page_values = head + layout.scales + layout.keys;
    a.page_words = pages.shape[1], a.pages = memory + segment.table;
    a.scratch = scratch + worker * paged_task_scratch(s);
    run(a);
  });
}

tensor::Id attention(tensor::Tape& tape, tensor::Id qkv, tensor::Id docs, const AttentionShape& s) {
  const tensor::Value& v = tape.value(qkv);
  const std::int64_t rows = v.shape[0];
  const tensor::Id out = tape.make({rows, s.n_heads * s.head_dim}, v.dtype);
  const tensor::Id lse = tape.make({s.n_heads, rows}, tensor::DType::kF32);
  tape.call(std::make_shared<Attention>(s), {qkv, docs}, {out, lse});
  return out;
}

tensor::Id attention_paged(tensor::Tape& tape, tensor::Id qkv, tensor::Id segments,
                           tensor::Id pages, const AttentionShape& s) {
  const tensor::Value& v = tape.value(qkv);
  const tensor::Id out = tape.make({v.shape[0], s.n_heads * s.head_dim}, v.dtype);
  tape.call(std::make_shared<AttentionPaged>(s), {qkv, segments, pages}, {out});
  return out;
}

}  // namespace belay::ops
