#include "ops_table.h"

#include "base/rng.h"
#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/muon.h"
#include "ops/output_head.h"
#include "ops/rmsnorm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"
#include "ops_twins.h"

namespace belay::test {
namespace {

constexpr double kTheta = 10000;
constexpr float kEps = 1e-6f;

/// Collects the inputs of a row.
class Maker {
 public:
  Maker(std::int64_t rows, DType compute) : in_{rows, 0, compute, {}} {}

  Maker& activation(const std::string& name, std::int64_t width, double scale, DType dtype) {
    return add({name,
                Kind::kActivation,
                {in_.rows, width},
                dtype,
                draw(name, 0, in_.rows * width, 0, scale, dtype)});
  }
  Maker& activation(const std::string& name, std::int64_t width, double scale = 1) {
    return activation(name, width, scale, in_.compute);
  }
  /// [out, in], small enough that a row of its product has the size of a row of the input.
  Maker& matrix(const std::string& name, std::int64_t out, std::int64_t in) {
    const double scale = 1 / std::sqrt(static_cast<double>(in));
    return add({name,
                Kind::kWeight,
                {out, in},
                DType::kF32,
                draw(name, 0, out * in, 0, scale, in_.compute)});
  }
  Maker& vector(const std::string& name, std::int64_t n, double base) {
    return add({name, Kind::kWeight, {n}, DType::kF32, draw(name, 0, n, base, 0.3, DType::kF32)});
  }
  /// Whole numbers below n; every `gap`-th is -1.
  Maker& ids(const std::string& name, std::int64_t n, int gap = 0) {
    const base::Rng rng(7, base::Purpose::kTest);
    std::vector<double> v;
    for (std::int64_t t = 0; t < in_.rows; ++t) {
      const auto i = static_cast<std::uint64_t>(t);
      const auto id = static_cast<double>(rng.below(i, static_cast<std::uint64_t>(n)));
      v.push_back(gap != 0 && t % gap == gap - 1 ? -1 : id);
    }
    return add({name, Kind::kRowData, {in_.rows}, DType::kI32, v});
  }
  Maker& row_data(const std::string& name, std::int64_t width, double base, double scale) {
    return add({name,
                Kind::kRowData,
                {in_.rows, width},
                DType::kF32,
                draw(name, 0, in_.rows * width, base, scale, DType::kF32)});
  }
  /// Documents that begin and end beside the borders of key blocks and query tiles.
  Maker& documents() {
    std::vector<double> starts;
    std::int64_t at = 0;
    for (int i = 0; at < in_.rows; ++i) {
      starts.push_back(static_cast<double>(at));
      at += std::array{3, 1, 64, 65, 29, 130, 200, 20}[static_cast<std::size_t>(i) % 8];
    }
    std::vector<double> docs{static_cast<double>(starts.size())};
    docs.insert(docs.end(), starts.begin(), starts.end());
    docs.push_back(static_cast<double>(in_.rows));
    const Shape shape{static_cast<std::int64_t>(docs.size())};
    return add({"docs", Kind::kDocuments, shape, DType::kI32, docs});
  }
  Maker& constant(const std::string& name, const Shape& shape, const std::vector<float>& values) {
    return add({name, Kind::kConstant, shape, DType::kF32,
                std::vector<double>(values.begin(), values.end())});
  }
  Inputs done() { return std::move(in_); }

 private:
  Maker& add(Input input) {
    in_.list.push_back(std::move(input));
    return *this;
  }
  Inputs in_;
};

OpRow embedding_row() {
  return {.name = "embedding",
          .operation = "embedding",
          .inputs =
              [](std::int64_t rows, DType dtype, Size size) {
                const bool real = size == Size::kReal;
                return Maker(rows, dtype)
                    .ids("ids", real ? 1000 : 23)
                    .matrix("weight", real ? 1000 : 23, real ? 384 : 37)
                    .done();
              },
          .record = [](Recorder& r) { r.output(ops::embedding(r.tape, r[0], r[1])); },
          .twin = EmbeddingTwin{}};
}

OpRow rmsnorm_row(bool residual) {
  return {.name = residual ? "rmsnorm_residual" : "rmsnorm",
          .operation = "rmsnorm",
          .inputs =
              [residual](std::int64_t rows, DType dtype, Size size) {
                const std::int64_t width = size == Size::kReal ? 768 : 37;
                Maker m(rows, dtype);
                m.activation("x", width, 2, DType::kF32).vector("w", width, 1);
                if (residual) m.activation("delta", width);
                return m.done();
              },
          .record =
              [residual](Recorder& r) {
                const auto out = ops::rmsnorm(r.tape, r[0], residual ? r[2] : tensor::kNone, r[1],
                                              r.inputs.compute, kEps);
                r.output(out.h);
                if (residual) r.output(out.x);
              },
          .twin = RmsnormTwin{residual, static_cast<double>(kEps)}};
}

/// A matrix [out, in].
struct Widths {
  std::int64_t out, in;
};

OpRow linear_row(const std::string& name, bool bias, Widths awkward, Widths real) {
  return {.name = name,
          .operation = "linear",
          .inputs =
              [=](std::int64_t rows, DType dtype, Size size) {
                const Widths w = size == Size::kReal ? real : awkward;
                Maker m(rows, dtype);
                m.activation("x", w.in).matrix("w", w.out, w.in);
                if (bias) m.vector("bias", w.out, 0);
                return m.done();
              },
          .record =
              [bias](Recorder& r) {
                r.output(ops::linear(r.tape, r[0], r.matrix(1), bias ? r[2] : tensor::kNone));
              },
          .twin = LinearTwin{bias},
          // A row of bf16 is a row of pairs.
          .bf16 = awkward.out % 2 == 0 && awkward.in % 2 == 0};
}

OpRow quantized_row(const std::string& name, DType type, Widths awkward, Widths real) {
  return {
      .name = name,
      .operation = "quantized",
      .inputs =
          [=](std::int64_t rows, DType dtype, Size size) {
            const Widths w = size == Size::kReal ? real : awkward;
            return Maker(rows, dtype)
                .row_data("x", w.in, 0, 1)
                .matrix("w", w.out, w.in)
                .vector("bias", w.out, 0)
                .done();
          },
      .record =
          [type](Recorder& r) { r.output(ops::linear(r.tape, r[0], r.quantized(1, type), r[2])); },
      .twin = QuantizedTwin{type},
      .differentiable = false};
}

struct Heads {
  std::int64_t q, kv, dim;
  std::int64_t width() const { return (q + 2 * kv) * dim; }
};

OpRow rope_row(const std::string& name, Heads heads, bool norm) {
  const std::int64_t positions = heads.dim > 256 ? 40 : 600;
  return {.name = name,
          .operation = "rope",
          .inputs =
              [=](std::int64_t rows, DType dtype, Size) {
                const auto table = ops::rope_table(positions, heads.dim, kTheta, std::nullopt);
                Maker m(rows, dtype);
                m.activation("qkv", heads.width())
                    .ids("positions", positions)
                    .constant("cos", {positions, heads.dim / 2}, table.cos)
                    .constant("sin", {positions, heads.dim / 2}, table.sin);
                if (norm) m.vector("q_weight", heads.dim, 1).vector("k_weight", heads.dim, 1);
                return m.done();
              },
          .record =
              [=](Recorder& r) {
                const Id q = norm ? r[4] : tensor::kNone, k = norm ? r[5] : tensor::kNone;
                r.output(ops::rope(r.tape, r[0], {r[1], r[2], r[3], q, k},
                                   {heads.q, heads.kv, heads.dim, kEps}));
              },
          .twin = RopeTwin{heads.q, heads.kv, heads.dim, norm, kTheta, static_cast<double>(kEps)},
          .one_size = true};
}

OpRow attention_row(const std::string& name, Heads heads, std::int64_t window = 0) {
  return {.name = name,
          .operation = "attention",
          .inputs =
              [=](std::int64_t rows, DType dtype, Size) {
                return Maker(rows, dtype).activation("qkv", heads.width(), 1.5).documents().done();
              },
          .record =
              [=](Recorder& r) {
                r.output(ops::attention(r.tape, r[0], r[1],
                                        {heads.q, heads.kv, heads.dim, r.inputs.rows, window}));
              },
          .twin = AttentionTwin{heads.q, heads.kv, heads.dim, window},
          .one_size = true};
}

OpRow swiglu_row() {
  return {.name = "swiglu",
          .operation = "swiglu",
          .inputs =
              [](std::int64_t rows, DType dtype, Size size) {
                const std::int64_t width = size == Size::kReal ? 1536 : 37;
                return Maker(rows, dtype).activation("gate_up", 2 * width, 3).done();
              },
          .record = [](Recorder& r) { r.output(ops::swiglu(r.tape, r[0])); },
          .twin = SwigluTwin{}};
}

enum class HeadKind : std::uint8_t { kCrossEntropy, kLogprob, kLogits };

OpRow head_row(const std::string& name, HeadKind kind) {
  return {.name = name,
          .operation = "output_head",
          .inputs =
              [kind](std::int64_t rows, DType dtype, Size size) {
                const std::int64_t width = size == Size::kReal ? 384 : 38;
                const std::int64_t vocab = size == Size::kReal ? 2051 : 97;
                Maker m(rows, dtype);
                m.activation("h", width, 3).matrix("w", vocab, width);
                if (kind != HeadKind::kLogits) m.ids("targets", vocab, 5);
                if (kind == HeadKind::kCrossEntropy) m.row_data("weight", 1, 0.5, 0.2);
                return m.done();
              },
          .record =
              [kind](Recorder& r) {
                if (kind == HeadKind::kLogits) {
                  r.output(ops::logits(r.tape, r[0], r.matrix(1)));
                } else if (kind == HeadKind::kLogprob) {
                  r.output(ops::logprob_gather(r.tape, r[0], r.matrix(1), r[2]));
                } else {
                  const auto l = ops::cross_entropy(r.tape, r[0], r.matrix(1), r[2], r[3]);
                  r.output(l.logprob);
                  r.output(l.loss, false);
                }
              },
          .twin = HeadTwin{kind == HeadKind::kLogits, kind == HeadKind::kCrossEntropy},
          .loss = kind == HeadKind::kCrossEntropy,
          .differentiable = kind != HeadKind::kLogits};
}

/// Takes the inputs as they are, lets `step` change them, and returns the ones that changed.
template <class Step>
void in_place(const Inputs& inputs, Result& result, Step step) {
  std::vector<Tensor> data;
  for (const Input& i : inputs.list) data.emplace_back(i.shape, i.dtype, i.values);
  step(data);
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (i != 1) result.out.push_back({std::move(data[i]), true});  // 1: the gradient
  }
}

OpRow adamw_row() {
  const AdamwTwin twin{
      .lr = 1e-2f, .b1 = 0.9f, .b2 = 0.95f, .eps = 1e-8f, .decay = 0.1f, .step = 3};
  return {.name = "adamw",
          .operation = "adamw",
          .inputs =
              [](std::int64_t rows, DType dtype, Size size) {
                const std::int64_t width = size == Size::kReal ? 768 : 37;
                return Maker(rows, dtype)
                    .row_data("w", width, 0, 0.1)
                    .row_data("g", width, 0, 0.1)
                    .row_data("m", width, 0, 0.1)
                    .row_data("v", width, 0.1, 0.04)
                    .done();
              },
          .direct =
              [twin](base::Context& ctx, const Inputs& in, Result& result) {
                in_place(in, result, [&](std::vector<Tensor>& d) {
                  // Two tensors, the second a single row.
                  const std::int64_t n = d[0].shape.count(), cut = n - d[0].shape[1];
                  const auto part = [&](std::int64_t at, std::int64_t count) {
                    return ops::AdamwTensor{d[0].view().f32() + at,
                                            d[1].view().f32() + at,
                                            d[2].view().f32() + at,
                                            d[3].view().f32() + at,
                                            count,
                                            twin.decay};
                  };
                  const std::array parts{part(0, cut), part(cut, n - cut)};
                  ops::adamw_step(ctx, parts,
                                  {.lr = twin.lr,
                                   .beta1 = twin.b1,
                                   .beta2 = twin.b2,
                                   .eps = twin.eps,
                                   .step = twin.step});
                });
              },
          .twin = twin,
          .differentiable = false};
}

OpRow muon_row(const std::string& name, bool nesterov) {
  const MuonTwin twin{.lr = 0.5f, .momentum = 0.95f, .decay = 0.1f, .nesterov = nesterov};
  return {.name = name,
          .operation = "muon",
          .inputs =
              [](std::int64_t rows, DType dtype, Size size) {
                const std::int64_t width = size == Size::kReal ? 256 : 38;
                return Maker(rows, dtype)
                    .row_data("w", width, 0, 0.01)
                    .row_data("g", width, 0, 0.1)
                    .row_data("momentum", width, 0, 0.1)
                    .done();
              },
          .direct =
              [twin](base::Context& ctx, const Inputs& in, Result& result) {
                in_place(in, result, [&](std::vector<Tensor>& d) {
                  const Shape s = d[0].shape;
                  Tensor scratch({ops::muon_scratch(s[0], s[1], in.compute) / 4}, DType::kF32);
                  ops::muon_step(ctx, d[0].view().f32(), d[1].view().f32(), d[2].view().f32(), s[0],
                                 s[1],
                                 {.lr = twin.lr,
                                  .momentum = twin.momentum,
                                  .decay = twin.decay,
                                  .nesterov = twin.nesterov,
                                  .dtype = in.compute},
                                 scratch.bytes.data());
                });
              },
          .twin = twin,
          .differentiable = false,
          .independent = false};
}

}  // namespace

const std::vector<OpRow>& ops_table() {
  static const std::vector<OpRow> kTable = {
      embedding_row(),
      rmsnorm_row(false),
      rmsnorm_row(true),
      linear_row("linear", false, {50, 38}, {1152, 768}),
      linear_row("linear_bias", true, {66, 50}, {192, 1536}),
      linear_row("linear_odd", true, {37, 19}, {515, 131}),
      quantized_row("q8", DType::kQ8, {70, 38}, {128, 1120}),
      quantized_row("q4", DType::kQ4, {50, 98}, {128, 1120}),
      rope_row("rope", {2, 2, 64}, false),
      rope_row("rope_gqa_norm", {6, 2, 128}, true),
      rope_row("rope_narrow_norm", {3, 1, 6}, true),
      rope_row("rope_1024_norm", {1, 1, 1024}, true),
      attention_row("attention_16", {4, 2, 16}),
      attention_row("attention_64", {4, 1, 64}),
      attention_row("attention_128", {2, 2, 128}),
      attention_row("attention_256", {1, 1, 256}),
      attention_row("attention_72", {3, 1, 72}),
      attention_row("attention_6", {2, 2, 6}),
      attention_row("attention_64_window_70", {2, 1, 64}, 70),
      attention_row("attention_16_window_5", {2, 1, 16}, 5),
      swiglu_row(),
      head_row("cross_entropy", HeadKind::kCrossEntropy),
      head_row("logprob_gather", HeadKind::kLogprob),
      head_row("logits", HeadKind::kLogits),
      adamw_row(),
      muon_row("muon", true),
      muon_row("muon_plain_momentum", false),
  };
  return kTable;
}

}  // namespace belay::test
