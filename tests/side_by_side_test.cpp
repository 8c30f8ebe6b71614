// Panels that a product of few rows reads side by side: the bits of one panel after the other, on
// every instruction set, whatever this machine itself would choose.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "ops/simd/dispatch.h"

namespace belay {
namespace {

using ops::simd::GemmPanel;
using ops::simd::Index;
using ops::simd::kPanel;
using ops::simd::QuantPanel;

constexpr Index kMostRows = 5, kWords = 300, kGroups = 5;

class SideBySide : public testing::TestWithParam<base::Isa> {
 protected:
  std::uint32_t random() {
    return static_cast<std::uint32_t>(rng_.below(next_++, std::uint64_t{1} << 32));
  }
  /// Bits of numbers between 1 and 2 of either sign; both halves of a word where it holds two.
  std::uint32_t word(bool pair) {
    const std::uint32_t bits = random();
    return pair ? (bits & 0x807f807fu) | 0x3f803f80u : (bits & 0x807fffffu) | 0x3f800000u;
  }
  std::vector<float> numbers(Index n) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (float& v : x) v = static_cast<float>(static_cast<std::int32_t>(random())) * 0x1p-31f;
    return x;
  }
  /// Runs `whole` at once and its panels one after the other; one(panel) of them.
  template <class Args, class Loop, class One>
  void expect_same(Loop loop, Args whole, One one) {
    const Index size = kMostRows * whole.ldc;
    const std::vector<float> before = numbers(size);
    std::vector<float> at_once = before, apart = before;
    whole.c = at_once.data();
    loop(whole);
    for (Index p = 0; p < whole.panels; ++p) {
      Args part = one(whole, p);
      part.panels = 1, part.c = apart.data() + p * kPanel;
      part.n = std::min(kPanel, whole.n - p * kPanel);
      part.bias = whole.bias == nullptr ? nullptr : whole.bias + p * kPanel;
      loop(part);
    }
    EXPECT_EQ(std::memcmp(at_once.data(), apart.data(), at_once.size() * sizeof(float)), 0)
        << whole.m << " rows, " << whole.panels << " panels";
    EXPECT_NE(std::memcmp(at_once.data(), before.data(), at_once.size() * sizeof(float)), 0);
  }

 private:
  base::Rng rng_{7, base::Purpose::kBench};
  std::uint64_t next_ = 0;
};

TEST_P(SideBySide, ProductsOfNumbers) {
  for (const bool pair : {false, true}) {
    const auto loop =
        pair ? ops::simd::kernels(GetParam()).gemm_bf16 : ops::simd::kernels(GetParam()).gemm_f32;
    for (const Index panels : {2, 3, 4, 7, 9}) {
      std::vector<std::uint32_t> a(kMostRows * kWords),
          b(static_cast<std::size_t>(panels) * kWords * kPanel);
      for (auto& w : a) w = word(pair);
      for (auto& w : b) w = word(pair);
      const std::vector<float> bias = numbers(panels * kPanel);
      for (Index m = 1; m <= kMostRows; ++m) {
        GemmPanel g{};
        g.a = a.data(), g.a_row = kWords, g.a_step = 1, g.b = b.data(), g.b_step = kPanel;
        g.m = m, g.n = panels * kPanel - 7, g.k = kWords, g.k_block = 128;
        g.bias = m == 2 ? bias.data() : nullptr, g.add = m != 3, g.ldc = panels * kPanel;
        g.stream = true, g.panels = panels, g.next = kWords * kPanel;
        expect_same(loop, g, [](GemmPanel part, Index p) {
          part.b += p * part.next;
          return part;
        });
      }
    }
  }
}

TEST_P(SideBySide, ProductsOfCodes) {
  const ops::simd::Kernels& k = ops::simd::kernels(GetParam());
  std::vector<std::int8_t> a(kMostRows * kGroups * 32);
  for (auto& code : a) code = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
  const std::vector<float> scale = numbers(16 * kGroups);
  std::vector<std::int32_t> sum(16 * kGroups);
  for (Index row = 0; row < kMostRows; ++row) {
    for (Index i = 0; i < kGroups * 32; ++i) {
      sum[static_cast<std::size_t>(i / 32 * 16 + row)] +=
          a[static_cast<std::size_t>(row * kGroups * 32 + i)];
    }
  }
  for (const int bits : {8, 4}) {
    const Index group = 2 * kPanel + kPanel * 32 * bits / 8;
    for (const Index panels : {2, 3, 5}) {
      std::vector<std::byte> b(static_cast<std::size_t>(panels * kGroups * group));
      for (auto& byte : b) byte = static_cast<std::byte>(random() & 0xffu);
      for (Index i = 0; i < panels * kGroups; ++i) {
        for (Index c = 0; c < kPanel; ++c) {  // scales of half precision, near 1
          const auto half = static_cast<std::uint16_t>(0x3c00u | (random() & 0x83ffu));
          std::memcpy(b.data() + i * group + 2 * c, &half, 2);
        }
      }
      for (Index m = 1; m <= kMostRows; ++m) {
        QuantPanel q{};
        q.a = a.data(), q.a_scale = scale.data(), q.a_sum = sum.data(), q.groups = kGroups;
        q.b = b.data(), q.m = m, q.n = panels * kPanel - 7, q.add = m != 3;
        q.ldc = panels * kPanel, q.panels = panels, q.next = kGroups * group;
        expect_same(bits == 8 ? k.gemm_q8 : k.gemm_q4, q, [](QuantPanel part, Index p) {
          part.b += p * part.next;
          return part;
        });
      }
    }
  }
}

/// Sets whose tables take several panels; tiles are given one at a time.
std::vector<base::Isa> vector_sets() {
  std::vector<base::Isa> sets = base::supported_isas();
  std::erase(sets, base::Isa::kAmx);
  return sets;
}

INSTANTIATE_TEST_SUITE_P(All, SideBySide, testing::ValuesIn(vector_sets()),
                         [](const auto& set) { return std::string(base::isa_name(set.param)); });

}  // namespace
}  // namespace belay
