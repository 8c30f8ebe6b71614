// Running a row of the table: inputs onto a tape, seeds for the outputs, gradients back.
#include <array>
#include <cstring>
#include <map>
#include <ostream>

#include "base/rng.h"
#include "base/status.h"
#include "ops/matmul.h"
#include "ops/quantized.h"
#include "ops_table.h"

namespace belay::test {
namespace {

std::uint64_t hash_of(const std::string& name) {
  std::uint64_t h = 14695981039346656037ull;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return h;
}

bool has_gradient(Kind kind) { return kind == Kind::kActivation || kind == Kind::kWeight; }

bool by_row(Kind kind) { return kind == Kind::kActivation || kind == Kind::kRowData; }

void put(std::byte* to, std::int64_t i, DType dtype, double value) {
  const auto f = static_cast<float>(value);
  const std::uint16_t b = tensor::to_bf16(f).bits;
  const auto n = static_cast<std::int32_t>(dtype == DType::kI32 ? value : 0);
  const void* from = dtype == DType::kBF16  ? static_cast<const void*>(&b)
                     : dtype == DType::kI32 ? static_cast<const void*>(&n)
                                            : static_cast<const void*>(&f);
  const std::int64_t size = tensor::dtype_bytes(dtype);
  std::memcpy(to + i * size, from, static_cast<std::size_t>(size));
}

}  // namespace

double rounded(double x, DType dtype) {
  const auto f = static_cast<float>(x);
  return static_cast<double>(dtype == DType::kBF16 ? tensor::to_float(tensor::to_bf16(f)) : f);
}

std::vector<double> draw(const std::string& name, std::int64_t first, std::int64_t n, double base,
                         double scale, DType dtype) {
  const std::uint64_t h = hash_of(name);
  const std::array key{static_cast<std::uint32_t>(h), static_cast<std::uint32_t>(h >> 32)};
  std::vector<double> values(static_cast<std::size_t>(n));
  std::array<std::uint32_t, 4> bits{};
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t at = first + i;
    if (i == 0 || at % 4 == 0) bits = base::philox4x32({static_cast<std::uint32_t>(at / 4)}, key);
    const double u = bits[static_cast<std::size_t>(at % 4)] * 0x1p-32;
    values[static_cast<std::size_t>(i)] = rounded(base + scale * 1.7320508 * (2 * u - 1), dtype);
  }
  return values;
}

Tensor::Tensor(const Shape& s, DType t)
    : shape(s), dtype(t), bytes(static_cast<std::size_t>(tensor::stored_bytes(t, s.count()))) {
  std::memset(bytes.data(), 0xff, bytes.size());  // NaN: what is not written is seen
}

Tensor::Tensor(const Shape& s, DType t, const std::vector<double>& values) : Tensor(s, t) {
  BELAY_CHECK(static_cast<std::int64_t>(values.size()) == s.count(), "one value an element");
  for (std::size_t i = 0; i < values.size(); ++i) {
    put(bytes.data(), static_cast<std::int64_t>(i), t, values[i]);
  }
}

Tensor::Tensor(const View& v) : Tensor(v.shape, v.dtype) {
  if (!bytes.empty()) std::memcpy(bytes.data(), v.data, bytes.size());
}

double Tensor::at(std::int64_t i) const {
  const std::byte* p = bytes.data() + i * tensor::dtype_bytes(dtype);
  if (dtype == DType::kBF16) {
    tensor::bf16 b;
    std::memcpy(&b, p, sizeof b);
    return static_cast<double>(tensor::to_float(b));
  }
  float f = 0;
  std::memcpy(&f, p, sizeof f);
  return static_cast<double>(f);
}

std::vector<std::byte> Tensor::rows(std::int64_t first, std::int64_t n) const {
  const std::int64_t row = static_cast<std::int64_t>(bytes.size()) / shape[0];
  return {bytes.begin() + first * row, bytes.begin() + (first + n) * row};
}

Recorder::Recorder(base::Context& c, const Inputs& in, bool gradients) : ctx(c), inputs(in) {
  data_.reserve(in.list.size());
  gradients_.resize(in.list.size());
  for (std::size_t i = 0; i < in.list.size(); ++i) {
    const Input& input = in.list[i];
    data_.emplace_back(input.shape, input.dtype, input.values);
    View gradient;
    if (gradients && input.kind == Kind::kWeight) {
      gradients_[i] = Tensor(input.shape, DType::kF32);
      gradient = gradients_[i].view();
    }
    ids_.push_back(input.kind == Kind::kWeight ? tape.weight(data_[i].view(), gradient)
                                               : tape.external(data_[i].view()));
    if (gradients && input.kind == Kind::kActivation) tape.want_grad(ids_[i]);
  }
}

ops::Matrix Recorder::matrix(std::size_t input) {
  const Shape& s = inputs.list[input].shape;
  Tensor forward(ops::packed_forward_shape(s[0], s[1]), inputs.compute);
  Tensor backward(ops::packed_backward_shape(s[0], s[1]), inputs.compute);
  ops::pack_weight(ctx, data_[input].view(), forward.view(), backward.view());
  const View f = forward.view(), b = backward.view();  // moving a vector keeps its memory
  packed_.push_back(std::move(forward));
  packed_.push_back(std::move(backward));
  return {ids_[input], tape.external(f), tape.external(b)};
}

std::vector<std::byte> blocks_of(const Input& weights, DType type) {
  const std::int64_t in = weights.shape[1], row = tensor::stored_bytes(type, in);
  const std::vector<float> values(weights.values.begin(), weights.values.end());
  std::vector<std::byte> blocks(static_cast<std::size_t>(weights.shape[0] * row));
  for (std::int64_t r = 0; r < weights.shape[0]; ++r) {
    ops::quantize_row(base::best_isa(), values.data() + r * in, in, type, blocks.data() + r * row);
  }
  return blocks;
}

std::vector<float> floats_of(const std::vector<std::byte>& blocks, const Shape& shape, DType type) {
  std::vector<float> values(static_cast<std::size_t>(shape.count()));
  const std::int64_t in = shape[1], row = tensor::stored_bytes(type, in);
  for (std::int64_t r = 0; r < shape[0]; ++r) {
    ops::dequantize_row(blocks.data() + r * row, in, type, values.data() + r * in);
  }
  return values;
}

ops::Matrix Recorder::quantized(std::size_t input, DType type) {
  const Shape& s = inputs.list[input].shape;
  std::vector<std::byte> blocks = blocks_of(inputs.list[input], type);
  Tensor packed(ops::packed_forward_shape(s[0], s[1], type), type);
  const std::int64_t row = tensor::stored_bytes(type, s[1]);
  for (std::int64_t first = 0; first < s[0]; first += 64) {
    const View rows{
        blocks.data() + first * row, {std::min<std::int64_t>(64, s[0] - first), s[1]}, type};
    ops::pack_panel(ctx.isa, rows, first, packed.view());
  }
  const View f = packed.view();
  packed_.push_back(std::move(packed));
  return {tape.external({nullptr, s, DType::kF32}), tape.external(f), tensor::kNone};
}

std::vector<double> seed_of(const OpRow& row, const Inputs& inputs, std::size_t output,
                            std::size_t n_outputs, const Shape& shape, DType dtype) {
  const auto n = static_cast<std::size_t>(shape.count());
  if (row.loss) return std::vector<double>(n, output + 1 == n_outputs ? 1.0 : 0.0);
  const std::int64_t first = inputs.first_row * (shape.count() / shape[0]);
  return draw(row.name + " seed " + std::to_string(output), first, shape.count(), 0, 1, dtype);
}

void poison(tensor::Exec& exec) {
  const tensor::Plan plan = tensor::plan_memory(exec.tape(), 0);
  for (std::size_t i = 0; i < plan.offset.size(); ++i) {
    if (plan.offset[i] < 0) continue;
    auto* at = static_cast<std::byte*>(exec.view(static_cast<Id>(i)).data);
    std::memset(at - plan.offset[i], 0xff, static_cast<std::size_t>(exec.arena_bytes()));
    return;
  }
}

Result run(base::Context& ctx, const OpRow& row, const Inputs& inputs, bool gradients) {
  Result result;
  result.d_in.resize(inputs.list.size());
  if (row.direct) {
    row.direct(ctx, inputs, result);
    return result;
  }
  gradients = gradients && row.differentiable;
  Recorder r(ctx, inputs, gradients);
  row.record(r);
  std::vector<Tensor> seeds;
  for (std::size_t i = 0; i < r.outputs_.size(); ++i) {
    const tensor::Value v = r.tape.value(r.outputs_[i].id);
    r.tape.keep(r.outputs_[i].id);
    if (!gradients || row.loss) continue;
    seeds.emplace_back(v.shape, v.dtype,
                       seed_of(row, inputs, i, r.outputs_.size(), v.shape, v.dtype));
    r.tape.seed_grad(r.outputs_[i].id, seeds.back().view());
  }
  if (gradients) r.tape.backward();
  for (std::size_t i = 0; i < inputs.list.size(); ++i) {
    if (gradients && inputs.list[i].kind == Kind::kActivation) r.tape.keep(r.tape.grad(r.ids_[i]));
  }
  tensor::Exec exec(ctx, r.tape);
  poison(exec);
  exec.replay();
  for (const auto& o : r.outputs_) result.out.push_back({Tensor(exec.view(o.id)), o.by_row});
  for (std::size_t i = 0; gradients && i < inputs.list.size(); ++i) {
    if (!has_gradient(inputs.list[i].kind)) continue;
    result.d_in[i] = inputs.list[i].kind == Kind::kWeight ? std::move(r.gradients_[i])
                                                          : Tensor(exec.grad(r.ids_[i]));
  }
  return result;
}

base::ThreadPool& pool_of(int n_threads) {
  static std::map<int, std::unique_ptr<base::ThreadPool>> pools;
  auto& pool = pools[n_threads];
  if (!pool) pool = std::make_unique<base::ThreadPool>(n_threads);
  return *pool;
}

bool too_slow(base::Isa isa, Size size, std::int64_t rows) {
  return isa == base::Isa::kScalar && size == Size::kReal && rows > 7;
}

std::vector<Size> sizes_of(const OpRow& row) {
  if (row.one_size) return {Size::kAwkward};
  return {Size::kAwkward, Size::kReal};
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const OpRow& row : ops_table()) {
    cases.push_back({&row, DType::kF32});
    if (row.bf16) cases.push_back({&row, DType::kBF16});
  }
  return cases;
}

std::string name_of(const Case& c) {
  return c.row->name + "_" + std::string(tensor::dtype_name(c.dtype));
}

void PrintTo(const Case& c, std::ostream* os) { *os << name_of(c); }

std::vector<Unit> units_of(const OpRow& row, const Inputs& inputs) {
  std::vector<Unit> units;
  if (!row.independent) return units;
  for (const Input& input : inputs.list) {
    if (input.kind != Kind::kDocuments) continue;
    for (std::size_t d = 0; d < static_cast<std::size_t>(input.values[0]); ++d) {
      const auto first = static_cast<std::int64_t>(input.values[d + 1]);
      units.push_back({first, static_cast<std::int64_t>(input.values[d + 2]) - first});
    }
    return units;
  }
  for (std::int64_t r = 0; r < inputs.rows; ++r) units.push_back({r, 1});
  return units;
}

Inputs cut(const Inputs& inputs, Unit unit) {
  Inputs part{unit.n, inputs.first_row + unit.first, inputs.compute, {}};
  for (const Input& input : inputs.list) {
    Input piece{input.name, input.kind, input.shape, input.dtype, {}};
    if (input.kind == Kind::kDocuments) {
      piece.values = {1, 0, static_cast<double>(unit.n)};
      piece.shape = {3};
    } else if (by_row(input.kind)) {
      const std::int64_t width = input.shape.count() / inputs.rows;
      piece.shape = input.shape.rank() == 1 ? Shape{unit.n} : Shape{unit.n, width};
      const auto from = input.values.begin() + unit.first * width;
      piece.values.assign(from, from + unit.n * width);
    } else {
      piece.values = input.values;
    }
    part.list.push_back(std::move(piece));
  }
  return part;
}

}  // namespace belay::test
