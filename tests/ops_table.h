// The table of operations: one row an operation, with its inputs, how it is recorded (or called),
// and its slow twin. ops_test.cpp checks values and gradients of every row, exactness_test.cpp
// their bits; a header of src/ops/ without a row fails a test.
#pragma once

#include <complex>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "ops/linear.h"
#include "tensor/exec.h"

namespace belay::test {

using tensor::DType;
using tensor::Id;
using tensor::Shape;
using tensor::View;

enum class Kind : std::uint8_t {
  kActivation,  // [rows, ...]; its gradient belongs to rows too
  kRowData,     // [rows, ...]; no gradient
  kWeight,      // its gradient is a sum over rows
  kDocuments,   // i32: number of documents, their first rows, rows (ops/attention.h)
  kConstant,
};

struct Input {
  std::string name;
  Kind kind;
  Shape shape;
  DType dtype;
  std::vector<double> values;  // each is a number of dtype
};

struct Inputs {
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // where these rows stood in what they were cut from
  DType compute = DType::kF32;
  std::vector<Input> list;
  const std::vector<double>& operator[](std::size_t i) const { return list[i].values; }
  std::int64_t dim(std::size_t i, int d) const { return list[i].shape[d]; }
};

/// The weights [out, in] of an input rounded to blocks of a quantized type, and back.
std::vector<std::byte> blocks_of(const Input& weights, DType type);
std::vector<float> floats_of(const std::vector<std::byte>& blocks, const Shape& shape, DType type);

/// An array that owns its memory, which is exactly as long as the array.
struct Tensor {
  Shape shape;
  DType dtype = DType::kF32;
  std::vector<std::byte> bytes;

  Tensor() = default;
  Tensor(const Shape& s, DType t);
  Tensor(const Shape& s, DType t, const std::vector<double>& values);
  explicit Tensor(const View& v);
  View view() { return {bytes.data(), shape, dtype}; }
  double at(std::int64_t i) const;
  /// Bytes of rows [first, first + n).
  std::vector<std::byte> rows(std::int64_t first, std::int64_t n) const;
};

struct Output {
  Tensor value;
  bool by_row = true;  // [rows, ...]
};

struct Result {
  std::vector<Output> out;
  std::vector<Tensor> d_in;  // by input; empty where the input has no gradient
};

struct OpRow;

/// What a row records on: a tape with the inputs on it.
class Recorder {
 public:
  Recorder(base::Context& ctx, const Inputs& inputs, bool gradients);
  Id operator[](std::size_t input) const { return ids_[input]; }
  /// A weight [out, in] with its packed copies.
  ops::Matrix matrix(std::size_t input);
  /// The same for inference: only packed, in a quantized type.
  ops::Matrix quantized(std::size_t input, DType type);
  void output(Id id, bool by_row = true) { outputs_.push_back({id, by_row}); }

  base::Context& ctx;
  tensor::Tape tape;
  const Inputs& inputs;

 private:
  friend Result run(base::Context&, const OpRow&, const Inputs&, bool);
  struct Recorded {
    Id id;
    bool by_row;
  };
  std::vector<Tensor> data_, gradients_;
  std::vector<Tensor> packed_;
  std::vector<Id> ids_;
  std::vector<Recorded> outputs_;
};

template <class R>
using Arrays = std::vector<std::vector<R>>;
/// Outputs from inputs; integers are read from Inputs, numbers from the arrays.
template <class R>
using Twin = std::function<Arrays<R>(const Inputs&, const Arrays<R>&)>;
using Complex = std::complex<double>;

struct Twins {
  Twin<double> real;
  Twin<Complex> complex;
  template <class F>
  Twins(F f) : real(f), complex(f) {}  // NOLINT: implicit by intent
};

enum class Size : std::uint8_t {
  kAwkward,  // narrow, no multiple of anything
  kReal,     // widths of real models
};

struct OpRow {
  std::string name;       // of this row
  std::string operation;  // src/ops/<operation>.h
  std::function<Inputs(std::int64_t rows, DType compute, Size size)> inputs;
  std::function<void(Recorder&)> record = {};
  /// Instead of record, for what is no operation of the tape.
  std::function<void(base::Context&, const Inputs&, Result&)> direct = {};
  Twins twin;
  bool bf16 = true;
  bool loss = false;  // the last output is what gradients are of; the others have none
  bool differentiable = true;
  bool one_size = false;    // its sizes are real ones already
  bool independent = true;  // each row (document) has its bits alone
};

const std::vector<OpRow>& ops_table();

/// Forward, and with gradients backward of sum(seed * output).
Result run(base::Context& ctx, const OpRow& row, const Inputs& inputs, bool gradients = true);

/// Fills the arena, scratch included, with NaN: what a replay reads, it has written.
void poison(tensor::Exec& exec);

/// The gradient that a test gives output i: numbers of its dtype that depend on the row alone.
std::vector<double> seed_of(const OpRow& row, const Inputs& inputs, std::size_t output,
                            std::size_t n_outputs, const Shape& shape, DType dtype);

/// Rows (documents) that are computed without the others: their first rows and lengths.
struct Unit {
  std::int64_t first, n;
};
std::vector<Unit> units_of(const OpRow& row, const Inputs& inputs);
Inputs cut(const Inputs& inputs, Unit unit);

/// The numbers of tests: rows of inputs, threads, element types.
inline constexpr std::int64_t kRowCounts[] = {1, 2, 3, 7, 16, 33, 130, 512};
inline constexpr int kThreadCounts[] = {1, 2, 3, 8};
/// A pool of that many threads, which lives as long as the program.
base::ThreadPool& pool_of(int n_threads);
std::vector<Size> sizes_of(const OpRow& row);
/// The scalar loops are too slow for real widths and many rows.
bool too_slow(base::Isa isa, Size size, std::int64_t rows);
/// A row of the table and a compute type, and how a test names the pair.
struct Case {
  const OpRow* row;
  DType dtype;
};
std::vector<Case> all_cases();
std::string name_of(const Case& c);
void PrintTo(const Case& c, std::ostream* os);

/// Deterministic numbers of the type: uniform, with mean `base` and standard deviation `scale`.
std::vector<double> draw(const std::string& name, std::int64_t first, std::int64_t n, double base,
                         double scale, DType dtype);

/// x as a number of the type.
double rounded(double x, DType dtype);

}  // namespace belay::test
