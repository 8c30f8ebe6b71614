// The bits of every operation, both sides computed: any number of threads, any rows beside a row,
// any instruction set; and the order of the sums of matrix products, against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops_table.h"
#include "ops_twins.h"

namespace belay::test {
namespace {

/// Where two results differ first, or "".
std::string difference(const Result& a, const Result& b) {
  for (std::size_t i = 0; i < a.out.size(); ++i) {
    if (a.out[i].value.bytes != b.out[i].value.bytes) return "output " + std::to_string(i);
  }
  for (std::size_t i = 0; i < a.d_in.size(); ++i) {
    if (a.d_in[i].bytes != b.d_in[i].bytes) return "gradient of input " + std::to_string(i);
  }
  return "";
}

/// What two rows of results that should be equal differ in, or "".
std::string row_difference(const Inputs& inputs, const Result& whole, const Result& alone, Unit u) {
  for (std::size_t i = 0; i < whole.out.size(); ++i) {
    const Output& o = whole.out[i];
    if (o.by_row && o.value.rows(u.first, u.n) != alone.out[i].value.bytes) {
      return "output " + std::to_string(i);
    }
  }
  for (std::size_t i = 0; i < whole.d_in.size(); ++i) {
    if (inputs.list[i].kind != Kind::kActivation || whole.d_in[i].bytes.empty()) continue;
    if (whole.d_in[i].rows(u.first, u.n) != alone.d_in[i].bytes) {
      return "gradient of input " + std::to_string(i);
    }
  }
  return "";
}

/// In which order a product sums: one number after the other; of each pair the odd number first; on
/// tiles, the even and the odd numbers of 32 apart.
enum class Order { kNumbers, kPairs, kTiles };
Order order_of(base::Isa isa, DType dtype) {
  if (dtype == DType::kF32) return Order::kNumbers;
  return isa == base::Isa::kAmx ? Order::kTiles : Order::kPairs;
}

std::vector<base::Isa> best_first() {
  return {base::supported_isas().rbegin(), base::supported_isas().rend()};
}

class BitTable : public testing::TestWithParam<Case> {};

TEST_P(BitTable, SameForAnyThreadsAndInstructionSet) {
  const auto [row, dtype] = GetParam();
  for (const Size size : sizes_of(*row)) {
    for (const std::int64_t rows : kRowCounts) {
      const Inputs inputs = row->inputs(rows, dtype, size);
      std::map<Order, Result> expected;  // by the best instruction set of that order, alone
      for (const base::Isa isa : best_first()) {
        if (too_slow(isa, size, rows)) continue;
        const auto [same, first] = expected.try_emplace(order_of(isa, dtype));
        base::Context alone{pool_of(1), isa};
        if (first) same->second = run(alone, *row, inputs);
        for (const int threads : kThreadCounts) {
          // Wide operations are slow: all thread counts on one instruction set, one on the others.
          if (size == Size::kReal && isa != base::best_isa() && threads != 3) continue;
          base::Context ctx{pool_of(threads), isa};
          ASSERT_EQ(difference(run(ctx, *row, inputs), same->second), "")
              << rows << " rows, " << threads << " threads, " << base::isa_name(isa)
              << (size == Size::kReal ? ", real width" : "");
        }
      }
    }
  }
}

/// Some of the units, the first and the last among them.
std::vector<Unit> sample(const std::vector<Unit>& units) {
  std::vector<Unit> some;
  const std::size_t step = std::max<std::size_t>(1, units.size() / 3);
  for (std::size_t i = 0; i < units.size(); i += step) some.push_back(units[i]);
  if (!units.empty()) some.push_back(units.back());
  return some;
}

TEST_P(BitTable, ARowAloneHasItsBitsAmongOthers) {
  const auto [row, dtype] = GetParam();
  for (const Size size : sizes_of(*row)) {
    for (const base::Isa isa : base::supported_isas()) {
      for (const std::int64_t rows : kRowCounts) {
        if (too_slow(isa, size, rows)) continue;
        const Inputs inputs = row->inputs(rows, dtype, size);
        base::Context ctx{pool_of(2), isa};
        const Result whole = run(ctx, *row, inputs);
        for (const Unit& unit : sample(units_of(*row, inputs))) {
          const Result alone = run(ctx, *row, cut(inputs, unit));
          ASSERT_EQ(row_difference(inputs, whole, alone, unit), "")
              << "rows " << unit.first << " + " << unit.n << " of " << rows << ", "
              << base::isa_name(isa) << (size == Size::kReal ? ", real width" : "");
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, BitTable, testing::ValuesIn(all_cases()),
                         [](const auto& c) { return name_of(c.param); });

// --- The order of sums
// -----------------------------------------------------------------------------

/// sum of a[i] b[i], i < k: ascending, fused.
float plain_block(const double* a, std::int64_t step_a, const double* b, std::int64_t step_b,
                  std::int64_t k, Order order) {
  const auto add = [&](float& sum, std::int64_t i) {
    if (i >= k) return;
    sum = std::fmaf(static_cast<float>(a[i * step_a]), static_cast<float>(b[i * step_b]), sum);
  };
  float sum = 0;
  if (order == Order::kNumbers) {
    for (std::int64_t i = 0; i < k; ++i) add(sum, i);
  } else if (order == Order::kPairs) {
    for (std::int64_t i = 0; i < k; i += 2) add(sum, i + 1), add(sum, i);
  } else {
    for (std::int64_t first = 0; first < k; first += 32) {
      float even = 0, odd = 0;
      for (std::int64_t i = first; i < first + 32; i += 2) add(even, i), add(odd, i + 1);
      sum += even + odd;
    }
  }
  return sum;
}

/// The whole sum: blocks from zero, added in order.
float plain_sum(const double* a, std::int64_t step_a, const double* b, std::int64_t step_b,
                std::int64_t k, std::int64_t block, Order order) {
  float total = 0;
  for (std::int64_t i = 0; i < k; i += block) {
    const float sum =
        plain_block(a + i * step_a, step_a, b + i * step_b, step_b, std::min(block, k - i), order);
    total = i == 0 ? sum : total + sum;
  }
  return total;
}

/// Plain sums that every instruction set of one order has to meet: sum(i, order) of n numbers,
/// computed once.
class PlainSums {
 public:
  template <class Sum>
  const std::vector<float>& of(Order order, std::int64_t n, Sum sum) {
    std::vector<float>& all = sums_[order];
    for (std::int64_t i = std::ssize(all); i < n; ++i) all.push_back(sum(i, order));
    return all;
  }

 private:
  std::map<Order, std::vector<float>> sums_;
};

class SumOrder : public testing::TestWithParam<std::tuple<std::int64_t, DType>> {};

TEST_P(SumOrder, ProductWithPackedWeightIsThePlainLoop) {
  const auto [k, dtype] = GetParam();
  const std::int64_t m = 8, n = 71;
  const auto x = draw("x", 0, m * k, 0, 1, dtype), w = draw("w", 0, n * k, 0, 1, dtype);
  const auto bias = draw("bias", 0, n, 0, 1, DType::kF32);
  Tensor tx({m, k}, dtype, x), tw({n, k}, DType::kF32, w), tb({n}, DType::kF32, bias);
  PlainSums plain;
  for (const base::Isa isa : base::supported_isas()) {
    base::Context ctx{pool_of(2), isa};
    Tensor packed(ops::packed_forward_shape(n, k), dtype), y({m, n}, DType::kF32);
    ops::pack_weight(ctx, tw.view(), packed.view(), {});
    ops::multiply(ctx, {.x = tx.view(),
                        .b = packed.view(),
                        .y = y.view(),
                        .m = m,
                        .n = n,
                        .k = k,
                        .ldx = k,
                        .ldy = n,
                        .bias = tb.view().f32()});
    const auto& sums = plain.of(order_of(isa, dtype), m * n, [&](std::int64_t i, Order order) {
      return plain_sum(x.data() + i / n * k, 1, w.data() + i % n * k, 1, k, ops::reduction_block(k),
                       order);
    });
    for (std::int64_t i = 0; i < m * n; ++i) {
      ASSERT_EQ(y.view().f32()[i], sums[index_of(i)] + tb.view().f32()[i % n])
          << "row " << i / n << ", column " << i % n << ", " << base::isa_name(isa);
    }
  }
}

TEST_P(SumOrder, InputGradientIsThePlainLoop) {
  const auto [k, dtype] = GetParam();
  const std::int64_t m = 5, n = 70;  // dx[m, n] = dy[m, k] W[k, n]
  const auto dy = draw("dy", 0, m * k, 0, 1, dtype), w = draw("w", 0, n * k, 0, 1, dtype);
  Tensor ty({m, k}, dtype, dy), tw({k, n}, DType::kF32, w);
  PlainSums plain;
  for (const base::Isa isa : base::supported_isas()) {
    base::Context ctx{pool_of(2), isa};
    Tensor packed(ops::packed_backward_shape(k, n), dtype), dx({m, n}, DType::kF32);
    ops::pack_weight(ctx, tw.view(), {}, packed.view());
    ops::multiply(ctx, {.x = ty.view(),
                        .b = packed.view(),
                        .y = dx.view(),
                        .m = m,
                        .n = n,
                        .k = k,
                        .ldx = k,
                        .ldy = n});
    const auto& sums = plain.of(order_of(isa, dtype), m * n, [&](std::int64_t i, Order order) {
      return plain_sum(dy.data() + i / n * k, 1, w.data() + i % n, n, k, ops::reduction_block(k),
                       order);
    });
    for (std::int64_t i = 0; i < m * n; ++i) {
      ASSERT_EQ(dx.view().f32()[i], sums[index_of(i)])
          << "row " << i / n << ", column " << i % n << ", " << base::isa_name(isa);
    }
  }
}

/// dw[n, k] = dy[m, n]^T x[m, k], where the sum runs over the m rows.
void check_transposed(std::int64_t m, DType dtype) {
  const std::int64_t n = 50, k = 70;
  const auto dy = draw("dy", 0, m * n, 0, 1, dtype), x = draw("x", 0, m * k, 0, 1, dtype);
  Tensor ty({m, n}, dtype, dy), tx({m, k}, dtype, x);
  PlainSums plain;
  for (const base::Isa isa : base::supported_isas()) {
    for (const int threads : {1, 3}) {
      base::Context ctx{pool_of(threads), isa};
      Tensor dw({n, k}, DType::kF32);
      std::vector<std::byte> scratch(
          static_cast<std::size_t>(ops::multiply_transposed_scratch(m, k, dtype, threads)));
      ops::multiply_transposed(ctx, {.dy = ty.view(),
                                     .x = tx.view(),
                                     .dw = dw.view(),
                                     .m = m,
                                     .n = n,
                                     .k = k,
                                     .ld_dy = n,
                                     .ldx = k,
                                     .scratch = scratch.data()});
      const auto& sums = plain.of(order_of(isa, dtype), n * k, [&](std::int64_t i, Order order) {
        return plain_sum(dy.data() + i / k, n, x.data() + i % k, k, m, ops::kGradientBlock, order);
      });
      for (std::int64_t i = 0; i < n * k; ++i) {
        ASSERT_EQ(dw.view().f32()[i], sums[index_of(i)])
            << "row " << i / k << ", column " << i % k << ", " << base::isa_name(isa) << ", "
            << threads << " threads";
      }
    }
  }
}

TEST_P(SumOrder, WeightGradientIsThePlainLoop) {
  const auto [k, dtype] = GetParam();
  check_transposed(k, dtype);
}

INSTANTIATE_TEST_SUITE_P(Lengths, SumOrder,
                         testing::Combine(testing::Values(16, 64, 384, 512, 768, 1024, 1536, 2048,
                                                          4096),
                                          testing::Values(DType::kF32, DType::kBF16)),
                         [](const auto& p) {
                           return std::to_string(std::get<0>(p.param)) + "_" +
                                  std::string(tensor::dtype_name(std::get<1>(p.param)));
                         });

TEST(SumOrder, WeightGradientOfAwkwardNumbersOfRows) {
  for (const std::int64_t rows : {1, 2, 3, 7, 33, 511, 513, 515, 1023, 1025, 1027, 2049}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) check_transposed(rows, dtype);
  }
}

TEST(SumOrder, EmbeddingGradientAddsTokensInOrder) {
  const std::int64_t tokens = 300, vocab = 5, width = 67;
  std::vector<double> ids;
  for (std::int64_t t = 0; t < tokens; ++t) ids.push_back(static_cast<double>(t * t % vocab));
  Tensor ti({tokens}, DType::kI32, ids);
  Tensor dx({tokens, width}, DType::kF32, draw("dx", 0, tokens * width, 0, 1, DType::kF32));
  Tensor expected({vocab, width}, DType::kF32, zeros<double>(vocab * width));
  for (std::int64_t i = 0; i < tokens * width; ++i) {
    const std::int64_t row = static_cast<std::int64_t>(ids[index_of(i / width)]);
    expected.view().f32()[row * width + i % width] += dx.view().f32()[i];
  }
  for (const base::Isa isa : base::supported_isas()) {
    base::Context ctx{pool_of(3), isa};
    Tensor dw({vocab, width}, DType::kF32);
    ops::embedding_backward(ctx, ti.view(), dx.view(), dw.view(), false);
    EXPECT_EQ(dw.bytes, expected.bytes) << base::isa_name(isa);
  }
}

TEST(SumOrder, SumOfSquares) {
  for (const std::int64_t n : {1, 15, 16, 17, 8191, 8193, 3'000'000}) {
    Tensor x({n}, DType::kF32, draw("x", 0, n, 0, 1, DType::kF32));
    double slow = 0;
    for (std::int64_t i = 0; i < n; ++i) slow += x.at(i) * x.at(i);
    base::Context best{pool_of(1)};
    const double expected = ops::sum_of_squares(best, x.view().f32(), n);
    EXPECT_NEAR(expected, slow, 1e-6 * slow);
    for (const base::Isa isa : base::supported_isas()) {
      for (const int threads : kThreadCounts) {
        base::Context ctx{pool_of(threads), isa};
        ASSERT_EQ(ops::sum_of_squares(ctx, x.view().f32(), n), expected)
            << n << ", " << threads << " threads, " << base::isa_name(isa);
      }
    }
  }
}

// --- Keys and values in pages
// ------------------------------------------------------------------------

/// Attention of one document in pieces of the given length against pages, which are in no order.
std::vector<std::byte> in_pieces(base::Context& ctx, const ops::AttentionShape& s, Tensor& qkv,
                                 std::int64_t piece) {
  const std::int64_t rows = qkv.shape[0], bytes = tensor::dtype_bytes(qkv.dtype);
  std::vector<std::int32_t> segments = {1, 0, 0, 0, 5, 2, 0, 3};
  Tensor pages({4, ops::page_words(s.n_kv_heads, s.head_dim, qkv.dtype)}, DType::kI32);
  Tensor out({rows, s.n_heads * s.head_dim}, qkv.dtype);
  std::vector<std::byte> scratch(
      static_cast<std::size_t>(ops::attention_paged_scratch(s, ctx.threads.size())));
  for (std::int32_t past = 0; past < rows; past += static_cast<std::int32_t>(piece)) {
    const std::int64_t n = std::min(piece, rows - past);
    const View part{qkv.bytes.data() + past * qkv.shape[1] * bytes, {n, qkv.shape[1]}, qkv.dtype};
    const View to{out.bytes.data() + past * out.shape[1] * bytes, {n, out.shape[1]}, qkv.dtype};
    segments[2] = static_cast<std::int32_t>(n), segments[3] = past;
    ops::attention_paged(ctx, s, part, {segments.data(), {8}, DType::kI32}, pages.view(), to,
                         scratch.data());
  }
  return out.bytes;
}

TEST(PagedAttention, PiecesHaveTheBitsOfOnePass) {
  const std::int64_t rows = 150;
  for (const auto& [head_dim, window] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {6, 0}, {16, 0}, {64, 0}, {72, 0}, {128, 0}, {16, 1}, {64, 37}, {64, 64}, {72, 100}}) {
    const ops::AttentionShape s{4, 2, head_dim, 160, window};
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Shape shape{rows, 8 * head_dim};
      Tensor qkv(shape, dtype, draw("qkv", 0, shape.count(), 0, 1.5, dtype));
      Tensor docs({3}, DType::kI32, {1, 0, static_cast<double>(rows)});
      for (const base::Isa isa : base::supported_isas()) {
        base::Context ctx{pool_of(2), isa};
        Tensor whole({rows, 4 * head_dim}, dtype), lse({4, rows}, DType::kF32);
        std::vector<std::byte> scratch(
            static_cast<std::size_t>(ops::attention_scratch(s, dtype, 2)));
        ops::attention_forward(ctx, s, qkv.view(), docs.view(), whole.view(), lse.view(),
                               scratch.data());
        for (const std::int64_t piece : {1, 3, 17, 48, 64, 100}) {
          ASSERT_EQ(in_pieces(ctx, s, qkv, piece), whole.bytes)
              << "pieces of " << piece << ", head_dim " << head_dim << ", window " << window << ", "
              << tensor::dtype_name(dtype) << ", " << base::isa_name(isa);
        }
      }
    }
  }
}

}  // namespace
}  // namespace belay::test
