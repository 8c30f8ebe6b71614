#include "bench/op_cases.h"

#include <memory>
#include <numeric>

#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/muon.h"
#include "ops/output_head.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace belay::bench {
namespace {

using tensor::DType;
using tensor::Id;
using tensor::View;

/// One id a token, each of the vocabulary as often as any other.
Id token_ids(Recorder& r) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(r.shape.n_tokens()));
  const auto vocab = static_cast<std::size_t>(r.config.vocab_size);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int32_t>(i * 2654435761u % vocab);
  }
  return r.constant(r.operands.numbers(ids));
}

void record_embedding(Recorder& r) {
  const Id ids = token_ids(r);
  r.seed(ops::embedding(r.tape, ids, r.weight({r.config.vocab_size, r.config.hidden_size})));
}

void record_rmsnorm(Recorder& r) {
  const tensor::Shape rows{r.shape.n_tokens(), r.config.hidden_size};
  const Id x = r.input(rows, DType::kF32), delta = r.input(rows, r.compute);
  const ops::Normed n = ops::rmsnorm(r.tape, x, delta, r.weight({r.config.hidden_size}), r.compute,
                                     r.config.norm_eps);
  r.seed(n.x);
  r.seed(n.h);
}

void record_linear(Recorder& r) {
  const Id x = r.input({r.shape.n_tokens(), r.config.hidden_size}, r.compute);
  r.seed(ops::linear(r.tape, x, r.matrix(r.config.qkv_size(), r.config.hidden_size)));
}

void record_rope(Recorder& r) {
  const model::ModelConfig& c = r.config;
  std::vector<std::int32_t> positions;
  for (std::int64_t t = 0; t < r.shape.n_tokens(); ++t) {
    positions.push_back(static_cast<std::int32_t>(t % r.shape.context));
  }
  const tensor::Shape angles{r.shape.context, c.head_dim / 2};
  const Id qkv = r.input({r.shape.n_tokens(), c.qkv_size()}, r.compute);
  const ops::RopeInputs in{.positions = r.constant(r.operands.numbers(positions)),
                           .cos = r.constant(r.operands.random(angles, DType::kF32)),
                           .sin = r.constant(r.operands.random(angles, DType::kF32)),
                           .q_weight = r.weight({c.head_dim}),
                           .k_weight = r.weight({c.head_dim})};
  r.seed(ops::rope(r.tape, qkv, in, {c.n_heads, c.n_kv_heads, c.head_dim, c.norm_eps}));
}

ops::AttentionShape attention_shape(const Recorder& r) {
  return {r.config.n_heads, r.config.n_kv_heads, r.config.head_dim, r.shape.context};
}

void record_attention(Recorder& r) {
  std::vector<std::int32_t> docs = {static_cast<std::int32_t>(r.shape.sequences)};
  for (std::int64_t d = 0; d <= r.shape.sequences; ++d) {
    docs.push_back(static_cast<std::int32_t>(d * r.shape.context));
  }
  const Id qkv = r.input({r.shape.n_tokens(), r.config.qkv_size()}, r.compute);
  const Id ids = r.constant(r.operands.numbers(docs));
  r.seed(ops::attention(r.tape, qkv, ids, attention_shape(r)));
}

/// One token after context - 1 others.
void record_paged(Recorder& r, int kv_bits) {
  const std::int64_t n_pages = ops::ceil_div(r.shape.context, ops::kPageTokens);
  const std::int64_t words =
      ops::page_words(r.config.n_kv_heads, r.config.head_dim, r.compute, kv_bits);
  const auto past = static_cast<std::int32_t>(r.shape.context - 1);
  std::vector<std::int32_t> segments = {1, 0, 1, past, 5};  // one, whose pages follow
  for (std::int64_t p = 0; p < n_pages; ++p) segments.push_back(static_cast<std::int32_t>(p));
  const Id qkv = r.constant(r.operands.random({1, r.config.qkv_size()}, r.compute));
  tensor::View pages = r.operands.random({n_pages, words}, DType::kF32);
  pages.dtype = DType::kI32;
  ops::AttentionShape shape = attention_shape(r);
  shape.kv_bits = kv_bits;
  r.tape.keep(ops::attention_paged(r.tape, qkv, r.constant(r.operands.numbers(segments)),
                                   r.constant(pages), shape));
}
void record_attention_paged(Recorder& r) { record_paged(r, 0); }
void record_attention_bytes(Recorder& r) { record_paged(r, 8); }

void record_swiglu(Recorder& r) {
  r.seed(ops::swiglu(r.tape, r.input({r.shape.n_tokens(), 2 * r.config.ffn_size}, r.compute)));
}

void record_cross_entropy(Recorder& r) {
  const Id h = r.input({r.shape.n_tokens(), r.config.hidden_size}, r.compute);
  const Id targets = token_ids(r);
  const Id weight = r.constant(r.operands.random({r.shape.n_tokens()}, DType::kF32));
  ops::cross_entropy(r.tape, h, r.matrix(r.config.vocab_size, r.config.hidden_size), targets,
                     weight);
}

void record_logprob_gather(Recorder& r) {
  const Id h = r.input({r.shape.n_tokens(), r.config.hidden_size}, r.compute);
  const ops::Matrix head = r.matrix(r.config.vocab_size, r.config.hidden_size);
  r.seed(ops::logprob_gather(r.tape, h, head, token_ids(r)));
}

/// Of one token a sequence, as in sampling.
void record_logits(Recorder& r) {
  const Id h = r.constant(r.operands.random({r.shape.sequences, r.config.hidden_size}, r.compute));
  ops::logits(r.tape, h, r.matrix(r.config.vocab_size, r.config.hidden_size));
}

Called prepare_adamw(Recorder& r) {
  const std::int64_t n = ops::round_up(r.config.n_params(), 16);
  float* w = r.operands.random({n}, DType::kF32).f32();
  const float* g = r.operands.random({n}, DType::kF32).f32();
  float* m = r.operands.empty({n}, DType::kF32).f32();
  float* v = r.operands.empty({n}, DType::kF32).f32();
  const auto count = static_cast<double>(n);
  return {14 * count, 7 * 4 * count, [&r, n, w, g, m, v] {
            const ops::AdamwTensor all{w, g, m, v, n, 0.1f};
            ops::adamw_step(r.ctx, {&all, 1}, {});
          }};
}

Called prepare_sum_of_squares(Recorder& r) {
  const std::int64_t n = ops::round_up(r.config.n_params(), 16);
  const float* x = r.operands.random({n}, DType::kF32).f32();
  const auto count = static_cast<double>(n);
  return {2 * count, 4 * count, [&r, n, x] { ops::sum_of_squares(r.ctx, x, n); }};
}

/// On the largest matrix of a block; the products of five iterations on [n, m], n <= m.
Called prepare_muon(Recorder& r) {
  const std::int64_t rows = 2 * r.config.ffn_size, columns = r.config.hidden_size;
  float* w = r.operands.random({rows, columns}, DType::kF32).f32();
  const float* g = r.operands.random({rows, columns}, DType::kF32).f32();
  float* buffer = r.operands.empty({rows, columns}, DType::kF32).f32();
  auto* scratch = static_cast<std::byte*>(
      r.operands.empty({ops::muon_scratch(rows, columns, r.compute) / 4}, DType::kF32).data);
  const auto n = static_cast<double>(std::min(rows, columns));
  const auto m = static_cast<double>(std::max(rows, columns));
  return {5 * 2 * n * n * (2 * m + n), 5 * 4 * n * m, [&r, rows, columns, w, g, buffer, scratch] {
            ops::muon_step(r.ctx, w, g, buffer, rows, columns, {.dtype = r.compute}, scratch);
          }};
}

/// Both packed copies of the embedding.
Called prepare_pack(Recorder& r) {
  const std::int64_t out = r.config.vocab_size, in = r.config.hidden_size;
  const View w = r.operands.random({out, in}, DType::kF32);
  const View forward = r.operands.empty(ops::packed_forward_shape(out, in), r.compute);
  const View backward = r.operands.empty(ops::packed_backward_shape(out, in), r.compute);
  return {0, static_cast<double>(w.bytes() + forward.bytes() + backward.bytes()),
          [&r, w, forward, backward] { ops::pack_weight(r.ctx, w, forward, backward); }};
}

}  // namespace

Id Recorder::input(const tensor::Shape& s, DType dtype) {
  const Id id = tape.external(operands.random(s, dtype));
  tape.want_grad(id);
  return id;
}

Id Recorder::weight(const tensor::Shape& s) {
  return tape.weight(operands.random(s, DType::kF32), operands.empty(s, DType::kF32));
}

ops::Matrix Recorder::matrix(std::int64_t out, std::int64_t in) {
  const View master = operands.random({out, in}, DType::kF32);
  const View forward = operands.empty(ops::packed_forward_shape(out, in), compute);
  const View backward = operands.empty(ops::packed_backward_shape(out, in), compute);
  ops::pack_weight(ctx, master, forward, backward);
  ops::Matrix m;
  m.master = tape.weight(master, operands.empty({out, in}, DType::kF32));
  m.forward = tape.external(forward);
  m.backward = tape.external(backward);
  return m;
}

void Recorder::seed(Id output) {
  const tensor::Value& v = tape.value(output);
  tape.seed_grad(output, operands.random(v.shape, v.dtype));
}

const std::vector<TapeCase>& tape_cases() {
  static const std::vector<TapeCase> cases = {
      {"embedding", record_embedding},
      {"rmsnorm", record_rmsnorm},
      {"linear", record_linear},
      {"rope", record_rope},
      {"attention", record_attention},
      {"attention (paged)", record_attention_paged, false},
      {"attention (8-bit pages)", record_attention_bytes, false},
      {"swiglu", record_swiglu},
      {"cross_entropy", record_cross_entropy},
      {"logprob_gather", record_logprob_gather},
      {"logits", record_logits, false},
  };
  return cases;
}

const std::vector<CallCase>& call_cases() {
  static const std::vector<CallCase> cases = {
      {"adamw", prepare_adamw},
      {"sum_of_squares", prepare_sum_of_squares},
      {"muon", prepare_muon},
      {"pack_weight", prepare_pack},
  };
  return cases;
}

}  // namespace belay::bench
