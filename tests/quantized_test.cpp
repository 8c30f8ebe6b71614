// Weights of 8 and 4 bits: blocks, panels, the specification of their products to the bit, and what
// rounding costs.
#include <gtest/gtest.h>

#include <cmath>

#include "ops/embedding.h"
#include "ops/quantized.h"
#include "ops_table.h"

namespace belay::test {
namespace {

Input weights(std::int64_t out, std::int64_t in, double scale = 1) {
  return {
      "w", Kind::kWeight, {out, in}, DType::kF32, draw("w", 0, out * in, 0, scale, DType::kF32)};
}

/// Blocks [out, in] as panels.
Tensor packed_of(std::vector<std::byte>& blocks, const Shape& s, DType type) {
  Tensor packed(ops::packed_forward_shape(s[0], s[1], type), type);
  const std::int64_t row = tensor::stored_bytes(type, s[1]);
  for (std::int64_t first = 0; first < s[0]; first += 64) {
    ops::pack_panel(
        base::best_isa(),
        {blocks.data() + first * row, {std::min<std::int64_t>(64, s[0] - first), s[1]}, type},
        first, packed.view());
  }
  return packed;
}

class Quantized : public testing::TestWithParam<DType> {};

TEST_P(Quantized, PanelsHoldTheNumbersOfTheBlocks) {
  for (const Shape& s : {Shape{1, 32}, Shape{64, 64}, Shape{65, 38}, Shape{200, 1}}) {
    std::vector<std::byte> blocks = blocks_of(weights(s[0], s[1]), GetParam());
    Tensor packed = packed_of(blocks, s, GetParam());
    const std::vector<float> expected = floats_of(blocks, s, GetParam());
    std::vector<float> row(static_cast<std::size_t>(s[1]));
    for (std::int64_t r = 0; r < s[0]; ++r) {
      ops::unpack_row(packed.view(), r, s[1], row.data());
      for (std::int64_t i = 0; i < s[1]; ++i) {
        ASSERT_EQ(row[static_cast<std::size_t>(i)],
                  expected[static_cast<std::size_t>(r * s[1] + i)]);
      }
    }
  }
}

/// The specification of one row and one output.
float plain_product(const float* x, const std::byte* blocks, std::int64_t in, DType type) {
  float y = 0;
  for (std::int64_t first = 0; first < in; first += 32) {
    const std::int64_t n = std::min<std::int64_t>(32, in - first);
    const std::byte* block = blocks + first / 32 * tensor::group_bytes(type);
    std::uint16_t half = 0;
    std::memcpy(&half, block, 2);
    float largest = 0;
    for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[first + i]));
    std::int64_t dot = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const int byte = std::to_integer<int>(block[2 + (type == DType::kQ8 ? i : i % 16)]);
      const int code = type == DType::kQ8 ? static_cast<std::int8_t>(byte)
                                          : (i < 16 ? byte & 15 : byte >> 4) - 8;
      const float inverse = largest > 1e-30f ? 127.0f / largest : 0.0f;
      dot += code * std::lrintf(x[first + i] * inverse);
    }
    y = std::fmaf(static_cast<float>(dot), tensor::half_to_float(half) * (largest / 127.0f), y);
  }
  return y;
}

TEST_P(Quantized, ProductIsThePlainLoopOnEveryInstructionSet) {
  const DType type = GetParam();
  for (const Shape& s : {Shape{70, 32}, Shape{64, 96}, Shape{130, 1120}, Shape{17, 45}}) {
    const std::int64_t out = s[0], in = s[1], most = 131;
    std::vector<std::byte> blocks = blocks_of(weights(out, in, 0.02), type);
    for (std::size_t i = 0; i < blocks.size(); i += 7) {
      if (i % static_cast<std::size_t>(tensor::group_bytes(type)) > 1) blocks[i] = std::byte{0x80};
    }
    Tensor packed = packed_of(blocks, s, type);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      if (dtype == DType::kBF16 && in % 2 != 0) continue;
      std::vector<double> x = draw("x", 0, most * in, 0, 1, dtype);
      for (std::int64_t i = 0; i < in; ++i) x[static_cast<std::size_t>(in + i)] = 0;  // a zero row
      const std::vector<float> xf(x.begin(), x.end());
      std::vector<float> expected(static_cast<std::size_t>(most * out));
      const std::int64_t row = tensor::stored_bytes(type, in);
      for (std::int64_t i = 0; i < most * out; ++i) {
        expected[static_cast<std::size_t>(i)] =
            plain_product(xf.data() + i / out * in, blocks.data() + i % out * row, in, type);
      }
      Tensor tx({most, in}, dtype, x);
      for (const base::Isa isa : base::supported_isas()) {
        for (const std::int64_t m : {1, 2, 3, 4, 6, 7, 16, 17, 33, 131}) {
          base::Context ctx{pool_of(2), isa};
          std::vector<std::byte> scratch(
              static_cast<std::size_t>(ops::multiply_scratch(m, in, type)));
          Tensor y({m, out}, DType::kF32);
          ops::multiply(ctx, {.x = tx.view(),
                              .b = packed.view(),
                              .y = y.view(),
                              .m = m,
                              .n = out,
                              .k = in,
                              .ldx = in,
                              .ldy = out,
                              .scratch = scratch.data()});
          for (std::int64_t i = 0; i < m * out; ++i) {
            ASSERT_EQ(y.view().f32()[i], expected[static_cast<std::size_t>(i)])
                << "row " << i / out << " of " << m << ", column " << i % out << ", in " << in
                << ", " << base::isa_name(isa);
          }
        }
      }
    }
  }
}

TEST_P(Quantized, WhatIsNotFiniteIsSeen) {
  const Shape s{64, 64};
  std::vector<std::byte> blocks = blocks_of(weights(64, 64), GetParam());
  Tensor packed = packed_of(blocks, s, GetParam());
  for (const base::Isa isa : base::supported_isas()) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      for (const std::int64_t at : {0, 20, 37, 63}) {
        base::Context ctx{pool_of(1), isa};
        Tensor x({1, 64}, DType::kF32, std::vector<double>(64, 0.5)), y({1, 64}, DType::kF32);
        x.view().f32()[at] = bad;
        std::vector<std::byte> scratch(
            static_cast<std::size_t>(ops::multiply_scratch(1, 64, GetParam())));
        ops::multiply(ctx, {.x = x.view(),
                            .b = packed.view(),
                            .y = y.view(),
                            .m = 1,
                            .n = 64,
                            .k = 64,
                            .ldx = 64,
                            .ldy = 64,
                            .scratch = scratch.data()});
        for (std::int64_t i = 0; i < 64; ++i) ASSERT_FALSE(std::isfinite(y.view().f32()[i]));
      }
    }
  }
}

double relative_error(const Input& w, DType type) {
  const std::vector<float> back = floats_of(blocks_of(w, type), w.shape, type);
  double error = 0, square = 0;
  for (std::size_t i = 0; i < back.size(); ++i) {
    error += std::pow(w.values[i] - static_cast<double>(back[i]), 2);
    square += std::pow(w.values[i], 2);
  }
  return std::sqrt(error / square);
}

TEST(QuantizeRow, LosesLittle) {
  // Uniform numbers: a step of 2/255 or 2/15.5 of the range, and the search may only help.
  EXPECT_LT(relative_error(weights(64, 1024), DType::kQ8), 0.0045);
  EXPECT_LT(relative_error(weights(64, 1024), DType::kQ4), 0.066);
}

TEST(QuantizeRow, RoundsWhatItCanHoldToItself) {
  // Codes under a power of two as scale, among them the extreme ones.
  Input w = weights(1, 32);
  for (int i = 0; i < 32; ++i) w.values[static_cast<std::size_t>(i)] = (i % 16 - 8) * 0.25;
  EXPECT_EQ(relative_error(w, DType::kQ4), 0);
  for (int i = 0; i < 32; ++i) w.values[static_cast<std::size_t>(i)] = (i * 8 - 121) * 0.25;
  w.values[31] = 127 * 0.25;
  EXPECT_EQ(relative_error(w, DType::kQ8), 0);
}

TEST(QuantizeRow, ZerosAndHugeNumbersStayFinite) {
  for (const DType type : {DType::kQ8, DType::kQ4}) {
    for (const double value : {0.0, 1e-40, 1e-7, -3e38, 3e38}) {
      Input w = weights(1, 40);
      std::fill(w.values.begin(), w.values.end(), value);
      for (const float v : floats_of(blocks_of(w, type), w.shape, type)) {
        EXPECT_TRUE(std::isfinite(v)) << value;
      }
    }
  }
}

TEST(EmbeddingPacked, IsTheRowsOfTheTable) {
  const std::int64_t vocab = 130, width = 70;
  const Input w = weights(vocab, width);
  Tensor f32({vocab, width}, DType::kF32, w.values);
  Tensor ids({4}, DType::kI32, {0, 129, 64, 63});
  base::Context ctx{pool_of(2)};
  for (const DType type : {DType::kF32, DType::kBF16, DType::kQ8, DType::kQ4}) {
    std::vector<double> expected(w.values.size());
    Tensor packed;
    if (tensor::is_quantized(type)) {
      std::vector<std::byte> blocks = blocks_of(w, type);
      const std::vector<float> back = floats_of(blocks, w.shape, type);
      expected.assign(back.begin(), back.end());
      packed = packed_of(blocks, w.shape, type);
    } else {
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = rounded(w.values[i], type);
      packed = Tensor(ops::packed_forward_shape(vocab, width), type);
      ops::pack_weight(ctx, f32.view(), packed.view(), {});
    }
    Tensor x({4, width}, DType::kF32);
    ops::embedding_packed(ctx, ids.view(), packed.view(), x.view());
    for (std::int64_t i = 0; i < 4 * width; ++i) {
      const std::int64_t at = ids.view().i32()[i / width] * width + i % width;
      ASSERT_EQ(static_cast<double>(x.view().f32()[i]), expected[static_cast<std::size_t>(at)]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Quantized, testing::Values(DType::kQ8, DType::kQ4),
                         [](const auto& c) { return std::string(tensor::dtype_name(c.param)); });

TEST(HalfPrecision, EveryNumberReadsBack) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float f = tensor::half_to_float(half);
    if (std::isnan(f)) continue;
    ASSERT_EQ(tensor::to_half(f), half);
    // Halfway to the next one goes to the even of the two.
    const float next = tensor::half_to_float(static_cast<std::uint16_t>(half + 1));
    if ((h & 0x7fff) >= 0x7bff) continue;
    ASSERT_EQ(tensor::to_half((f + next) / 2), static_cast<std::uint16_t>(half + (half & 1)));
  }
}

}  // namespace
}  // namespace belay::test
