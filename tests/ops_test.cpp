// Every operation of the table against its slow twin in double: outputs, and gradients against
// complex-step derivatives of the twin (Squire, Trapp, 1998), which are exact to rounding.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/rng.h"
#include "ops_table.h"
#include "tolerances.h"

namespace belay::test {
namespace {

template <class R>
Arrays<R> arrays_of(const Inputs& inputs) {
  Arrays<R> arrays;
  for (const Input& i : inputs.list) arrays.emplace_back(i.values.begin(), i.values.end());
  return arrays;
}

/// The largest |fast - slow| of any row, relative to the row's largest number; a row of one number
/// is measured by the whole array. NaN counts as infinitely far.
double distance_by_row(const Output& fast, const std::vector<double>& slow) {
  const std::int64_t n = fast.value.shape.count();
  const std::int64_t width = fast.by_row ? n / fast.value.shape[0] : n;
  const auto largest = [&](std::int64_t begin, std::int64_t count) {
    double most = 1e-30;
    for (std::int64_t i = begin; i < begin + count; ++i) {
      most = std::max(most, std::abs(slow[static_cast<std::size_t>(i)]));
    }
    return most;
  };
  const double all = largest(0, n);
  double worst = 0;
  for (std::int64_t begin = 0; begin < n; begin += width) {
    const double scale = width == 1 ? all : largest(begin, width);
    for (std::int64_t i = begin; i < begin + width; ++i) {
      const double d = std::abs(fast.value.at(i) - slow[static_cast<std::size_t>(i)]) / scale;
      worst = std::isnan(d) ? INFINITY : std::max(worst, d);
    }
  }
  return worst;
}

class OpsTable : public testing::TestWithParam<Case> {};

TEST_P(OpsTable, OutputsAreTheTwins) {
  const auto [row, dtype] = GetParam();
  const double allowed = tolerance(row->operation, dtype).output;
  double worst = 0;
  for (const Size size : sizes_of(*row)) {
    for (const std::int64_t rows : kRowCounts) {
      if (size == Size::kReal && rows > 130) continue;
      const Inputs inputs = row->inputs(rows, dtype, size);
      const Arrays<double> slow = row->twin.real(inputs, arrays_of<double>(inputs));
      for (const base::Isa isa : base::supported_isas()) {
        if (too_slow(isa, size, rows)) continue;
        base::Context ctx{pool_of(2), isa};
        const Result fast = run(ctx, *row, inputs, false);
        ASSERT_EQ(fast.out.size(), slow.size());
        for (std::size_t i = 0; i < slow.size(); ++i) {
          const double apart = distance_by_row(fast.out[i], slow[i]);
          worst = std::max(worst, apart);
          EXPECT_LE(apart, allowed)
              << "output " << i << ", " << rows << " rows, " << base::isa_name(isa);
        }
      }
    }
  }
  RecordProperty("worst", std::to_string(worst));
}

/// sum of seed * output: what gradients are of.
class Objective {
 public:
  /// like: outputs of these inputs, or of the whole that they were cut from.
  Objective(const OpRow& row, const Inputs& inputs, const Result& like)
      : row_(row), inputs_(inputs) {
    for (std::size_t i = 0; i < like.out.size(); ++i) {
      Shape s = like.out[i].value.shape;
      if (like.out[i].by_row) s = s.rank() == 1 ? Shape{inputs.rows} : Shape{inputs.rows, s[1]};
      seeds_.push_back(seed_of(row, inputs, i, like.out.size(), s, like.out[i].value.dtype));
    }
  }
  const Inputs& inputs() const { return inputs_; }

  double real(const Arrays<double>& in) const { return weigh(row_.twin.real(inputs_, in)); }

  /// The derivative along the direction in input i.
  double complex_step(std::size_t i, const std::vector<double>& direction) const {
    constexpr double kStep = 1e-30;
    Arrays<Complex> in = arrays_of<Complex>(inputs_);
    for (std::size_t j = 0; j < direction.size(); ++j) in[i][j] += Complex(0, kStep * direction[j]);
    return weigh(row_.twin.complex(inputs_, in)).imag() / kStep;
  }

 private:
  template <class R>
  R weigh(const Arrays<R>& out) const {
    R sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      for (std::size_t j = 0; j < out[i].size(); ++j) sum += R(seeds_[i][j]) * out[i][j];
    }
    return sum;
  }
  const OpRow& row_;
  const Inputs& inputs_;
  std::vector<std::vector<double>> seeds_;
};

std::vector<double> one_hot(std::size_t n, std::size_t at) {
  std::vector<double> d(n, 0.0);
  d[at] = 1;
  return d;
}

/// The unit that a row lies in.
Unit unit_of(const OpRow& row, const Inputs& inputs, std::int64_t at) {
  for (const Unit& u : units_of(row, inputs)) {
    if (at >= u.first && at < u.first + u.n) return u;
  }
  return {0, inputs.rows};
}

/// d objective / d element of input i. An activation reaches its own row (document) alone, so that
/// only that is computed.
double derivative(const OpRow& row, const Inputs& inputs, const Result& like, std::size_t i,
                  std::int64_t element) {
  const Input& input = inputs.list[i];
  if (input.kind != Kind::kActivation) {
    const Objective f(row, inputs, like);
    return f.complex_step(i, one_hot(input.values.size(), static_cast<std::size_t>(element)));
  }
  const std::int64_t width = input.shape.count() / inputs.rows;
  const Unit unit = unit_of(row, inputs, element / width);
  const Inputs part = cut(inputs, unit);
  const auto at = static_cast<std::size_t>(element - unit.first * width);
  return Objective(row, part, like).complex_step(i, one_hot(part.list[i].values.size(), at));
}

double largest(const Tensor& t) {
  double most = 1e-30;
  for (std::int64_t i = 0; i < t.shape.count(); ++i) most = std::max(most, std::abs(t.at(i)));
  return most;
}

/// Checks a few elements of a gradient, and all of them along one direction of +-1.
void check_gradient(const Case& c, const Inputs& inputs, const std::vector<Result>& fast,
                    std::size_t i) {
  const Tolerance t = tolerance(c.row->operation, c.dtype);
  const double allowed =
      inputs.list[i].kind == Kind::kWeight ? t.weight_gradient : t.input_gradient;
  const std::int64_t n = inputs.list[i].shape.count(), n_elements = std::min<std::int64_t>(n, 10);
  const base::Rng rng(i, base::Purpose::kTest);
  std::vector<double> signs(static_cast<std::size_t>(n));
  for (std::size_t j = 0; j < signs.size(); ++j) signs[j] = rng.below(j, 2) == 0 ? -1 : 1;
  const double along = Objective(*c.row, inputs, fast[0]).complex_step(i, signs);
  std::vector<std::pair<std::int64_t, double>> elements;
  for (std::int64_t k = 0; k < n_elements; ++k) {
    const std::int64_t at = (2 * k + 1) * n / (2 * n_elements);
    elements.emplace_back(at, derivative(*c.row, inputs, fast[0], i, at));
  }
  for (const Result& result : fast) {
    const Tensor& g = result.d_in[i];
    const double scale = largest(g);
    for (const auto& [at, expected] : elements) {
      EXPECT_NEAR(g.at(at) / scale, expected / scale, allowed)
          << inputs.list[i].name << "[" << at << "], " << inputs.rows << " rows";
    }
    double sum = 0, squares = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      sum += signs[static_cast<std::size_t>(j)] * g.at(j);
      squares += g.at(j) * g.at(j);
    }
    const double length = std::sqrt(squares) + 1e-30;
    EXPECT_NEAR(sum / length, along / length, 2 * allowed)
        << inputs.list[i].name << " along a direction, " << inputs.rows << " rows";
  }
}

TEST_P(OpsTable, GradientsAreDerivativesOfTheTwin) {
  const Case c = GetParam();
  if (!c.row->differentiable) return;
  for (const std::int64_t rows : {1, 3, 16, 33, 130}) {
    const Inputs inputs = c.row->inputs(rows, c.dtype, Size::kAwkward);
    std::vector<Result> fast;
    for (const base::Isa isa : base::supported_isas()) {
      base::Context ctx{pool_of(2), isa};
      fast.push_back(run(ctx, *c.row, inputs));
    }
    for (std::size_t i = 0; i < inputs.list.size(); ++i) {
      if (!fast[0].d_in[i].bytes.empty()) check_gradient(c, inputs, fast, i);
    }
  }
}

TEST_P(OpsTable, ComplexStepsOfTheTwinAreItsFiniteDifferences) {
  const auto [row, dtype] = GetParam();
  if (!row->differentiable || dtype != DType::kF32) return;
  const Inputs inputs = row->inputs(7, dtype, Size::kAwkward);
  base::Context ctx{pool_of(1)};
  const Result like = run(ctx, *row, inputs);
  const Objective f(*row, inputs, like);
  constexpr double kStep = 1e-5;
  for (std::size_t i = 0; i < inputs.list.size(); ++i) {
    if (like.d_in[i].bytes.empty()) continue;
    const std::size_t n = inputs[i].size();
    for (const std::size_t at : {std::size_t{0}, n / 3, n - 1}) {
      Arrays<double> in = arrays_of<double>(inputs);
      in[i][at] += kStep;
      const double above = f.real(in);
      in[i][at] -= 2 * kStep;
      const double slope = (above - f.real(in)) / (2 * kStep);
      EXPECT_NEAR(slope, f.complex_step(i, one_hot(n, at)),
                  kTwinDerivatives * largest(like.d_in[i]))
          << inputs.list[i].name << "[" << at << "]";
    }
  }
}

TEST_P(OpsTable, HugeValuesAndZerosStayFinite) {
  const auto [row, dtype] = GetParam();
  for (const double factor : {0.0, 1e-20, 1e3}) {
    Inputs inputs = row->inputs(33, dtype, Size::kAwkward);
    for (Input& input : inputs.list) {
      if (input.kind != Kind::kActivation) continue;
      for (double& x : input.values) x = rounded(x * factor, input.dtype);
    }
    for (const base::Isa isa : base::supported_isas()) {
      base::Context ctx{pool_of(2), isa};
      const Result result = run(ctx, *row, inputs);
      for (const Output& o : result.out) {
        EXPECT_TRUE(std::isfinite(largest(o.value))) << factor << ", " << base::isa_name(isa);
      }
      for (const Tensor& g : result.d_in) {
        for (std::int64_t i = 0; i < (g.bytes.empty() ? 0 : g.shape.count()); ++i) {
          ASSERT_TRUE(std::isfinite(g.at(i))) << factor << ", " << base::isa_name(isa);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, OpsTable, testing::ValuesIn(all_cases()),
                         [](const auto& c) { return name_of(c.param); });

TEST(OpsTable, HasARowForEveryOperation) {
  const std::set<std::string> helpers = {"matmul", "partial_sums", "quant_blocks"};
  std::set<std::string> headers, rows;
  for (const auto& file : std::filesystem::directory_iterator(BELAY_TEST_DATA "/../../src/ops")) {
    const std::string stem = file.path().stem().string();
    if (file.path().extension() == ".h" && helpers.count(stem) == 0) headers.insert(stem);
  }
  for (const OpRow& row : ops_table()) rows.insert(row.operation);
  EXPECT_EQ(rows, headers) << "a header of src/ops/ needs a row in tests/ops_table.cpp";
}

}  // namespace
}  // namespace belay::test
