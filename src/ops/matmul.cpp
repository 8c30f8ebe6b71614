#include "ops/matmul.h"

#include <algorithm>

#include "base/status.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

using simd::GemmPanel;
using simd::Index;
using simd::Kernels;
using simd::kPanel;
using simd::Word;

constexpr Index kRowChunk = 96;           // rows of a task
constexpr Index kGroupWords = 96 * 1024;  // packed words that should stay in the second-level cache
constexpr Index kMinTasks = 32;           // so that the last task of a loop is short

Index pair_of(DType dtype) { return dtype == DType::kBF16 ? 2 : 1; }
Index words_of(Index elements, DType dtype) { return ceil_div(elements, pair_of(dtype)); }

Word* at(const View& v, Index element) {
  auto* bytes = static_cast<std::byte*>(v.data) + element * tensor::dtype_bytes(v.dtype);
  return reinterpret_cast<Word*>(bytes);
}

auto gemm_of(const Kernels& k, DType dtype) {
  return dtype == DType::kBF16 ? k.gemm_bf16 : k.gemm_f32;
}

/// Panels a task takes, so that the packed operand stays near and there are enough tasks.
Index panels_a_task(Index panels, Index words, Index row_chunks) {
  const Index near = std::max<Index>(1, kGroupWords / (words * kPanel));
  const Index groups = std::min(panels, std::max<Index>(1, ceil_div(kMinTasks, row_chunks)));
  return std::min(near, ceil_div(panels, groups));
}

void pack_forward_panel(const Kernels& k, const View& w, const View& to, Index panel) {
  const Index out = w.shape[0], in = w.shape[1], first = panel * kPanel;
  const Index n = std::min(kPanel, out - first);
  Word* dst = at(to, first * in);
  const float* src = w.f32() + first * in;
  (to.dtype == DType::kBF16 ? k.pack_rows_to_bf16 : k.pack_rows_f32)(dst, kPanel, src, in, in, n);
}

void pack_backward_panel(const Kernels& k, const View& w, const View& to, Index panel) {
  const Index out = w.shape[0], in = w.shape[1], first = panel * kPanel;
  const Index n = std::min(kPanel, in - first);
  Word* dst = at(to, first * to.shape[1]);
  const float* src = w.f32() + first;
  (to.dtype == DType::kBF16 ? k.pack_columns_to_bf16 : k.pack_columns_f32)(dst, kPanel, src, in,
                                                                           out, n);
}

}  // namespace

tensor::Shape packed_forward_shape(std::int64_t out, std::int64_t in) {
  return {round_up(out, kPanel), in};
}
tensor::Shape packed_backward_shape(std::int64_t out, std::int64_t in) {
  return {round_up(in, kPanel), round_up(out, 2)};
}

void pack_weight(base::Context& ctx, const View& w, const View& forward, const View& backward) {
  const Kernels& k = simd::kernels(ctx.isa);
  const Index n_forward = forward ? ceil_div(w.shape[0], kPanel) : 0;
  const Index n_backward = backward ? ceil_div(w.shape[1], kPanel) : 0;
  ctx.threads.parallel(n_forward + n_backward, [&](std::int64_t i, int) {
    if (i < n_forward) {
      pack_forward_panel(k, w, forward, i);
    } else {
      pack_backward_panel(k, w, backward, i - n_forward);
    }
  });
}

void multiply(base::Context& ctx, const Product& p) {
  const DType dtype = p.x.dtype;
  BELAY_CHECK(p.b.dtype == dtype && p.ldx % pair_of(dtype) == 0,
              "operands of a product must agree");
  const auto gemm = gemm_of(simd::kernels(ctx.isa), dtype);
  const Index words = words_of(p.k, dtype), panels = ceil_div(p.n, kPanel);
  const Index panel_words = words_of(p.b.shape[1], dtype) * kPanel;
  const Index chunks = ceil_div(p.m, kRowChunk), group = panels_a_task(panels, words, chunks);
  ctx.threads.parallel(chunks * ceil_div(panels, group), [&](std::int64_t task, int) {
    const Index row = task % chunks * kRowChunk, first = task / chunks * group;
    for (Index panel = first; panel < std::min(panels, first + group); ++panel) {
      const Index column = panel * kPanel, out = row * p.ldy + column;
      GemmPanel g{};
      g.a = at(p.x, row * p.ldx), g.a_row = p.ldx / pair_of(dtype), g.a_step = 1;
      g.b = static_cast<const Word*>(p.b.data) + panel * panel_words, g.b_step = kPanel;
      g.m = std::min(kRowChunk, p.m - row), g.n = std::min(kPanel, p.n - column);
      g.k = words, g.k_block = reduction_block(p.k) / pair_of(dtype);
      g.bias = p.bias == nullptr ? nullptr : p.bias + column;
      g.ldc = p.ldy, g.add = p.add;
      if (p.y.dtype == DType::kBF16) {
        g.y = reinterpret_cast<std::uint16_t*>(p.y.b16() + out);
      } else {
        g.c = p.y.f32() + out;
      }
      gemm(g);
    }
  });
}

namespace {

/// Both operands of dy^T x, packed: x as panels [block][panel][words][64], dy as tiles
/// [block][tile][words][6], blocks of reduction_block(m) rows; the last block may be shorter.
struct Packed {
  Index m, n, k, pair, block, panels, tiles;
  Word *x, *dy;

  Packed(const OuterProduct& p, DType dtype)
      : m(p.m),
        n(p.n),
        k(p.k),
        pair(pair_of(dtype)),
        block(reduction_block(p.m)),
        panels(ceil_div(p.k, kPanel)),
        tiles(ceil_div(p.n, simd::kRowTile)),
        x(reinterpret_cast<Word*>(p.scratch)),
        dy(x + ceil_div(p.m, block) * (block / pair) * panels * kPanel) {}
  Index blocks() const { return ceil_div(m, block); }
  Index words(Index b) const { return ceil_div(std::min(block, m - b * block), pair); }
  Word* panel(Index b, Index i) const {
    return x + b * (block / pair) * panels * kPanel + i * words(b) * kPanel;
  }
  Word* tile(Index b, Index i) const {
    return dy + b * tiles * simd::tile_stride(block / pair) + i * simd::tile_stride(words(b));
  }
};

constexpr Index kStrip =
    32;  // rows packed by one task: read whole, written to every panel and tile

/// Packs rows [row, row + rows) of x and dy, which lie in one block.
void pack_strip(const Kernels& kern, const OuterProduct& p, const Packed& to, Index row,
                Index rows) {
  const bool bf16 = p.x.dtype == DType::kBF16;
  const Index b = row / to.block, word = (row - b * to.block) / to.pair;
  for (Index i = 0; i < to.panels; ++i) {
    Word* dst = to.panel(b, i) + word * kPanel;
    const Index n = std::min(kPanel, p.k - i * kPanel), from = row * p.ldx + i * kPanel;
    if (bf16) {
      kern.pack_columns_bf16(dst, kPanel, reinterpret_cast<const std::uint16_t*>(p.x.b16() + from),
                             p.ldx, rows, n);
    } else {
      kern.pack_columns_f32(dst, kPanel, p.x.f32() + from, p.ldx, rows, n);
    }
  }
  const Index stride = simd::tile_stride(to.words(b));
  for (Index c = 0; c < p.n; c += simd::kTileColumns) {
    Word* dst = to.tile(b, c / simd::kRowTile) + word * simd::kRowTile;
    const Index n = std::min(simd::kTileColumns, p.n - c), from = row * p.ld_dy + c;
    if (bf16) {
      kern.pack_tiles_bf16(dst, stride, reinterpret_cast<const std::uint16_t*>(p.dy.b16() + from),
                           p.ld_dy, rows, n);
    } else {
      kern.pack_tiles_f32(dst, stride, p.dy.f32() + from, p.ld_dy, rows, n);
    }
  }
}

}  // namespace

std::int64_t multiply_transposed_scratch(std::int64_t m, std::int64_t n, std::int64_t k,
                                         DType dtype) {
  const Index block = reduction_block(m), blocks = ceil_div(m, block),
              words = block / pair_of(dtype);
  return 4 * blocks *
         (words * round_up(k, kPanel) + ceil_div(n, simd::kRowTile) * simd::tile_stride(words));
}

void multiply_transposed(base::Context& ctx, const OuterProduct& p) {
  const Kernels& kern = simd::kernels(ctx.isa);
  const DType dtype = p.x.dtype;
  const Packed packed(p, dtype);
  for_chunks(ctx, p.m, kStrip, [&](std::int64_t row, std::int64_t end, int) {
    pack_strip(kern, p, packed, row, end - row);
  });
  const auto gemm = gemm_of(kern, dtype);
  const Index chunks = ceil_div(p.n, simd::kTileColumns), panels = packed.panels;
  const Index group = ceil_div(panels, std::min(panels, ceil_div(kMinTasks, chunks)));
  ctx.threads.parallel(chunks * ceil_div(panels, group), [&](std::int64_t task, int) {
    const Index row = task % chunks * simd::kTileColumns, first = task / chunks * group;
    for (Index b = 0; b < packed.blocks(); ++b) {
      const Index words = packed.words(b);
      for (Index panel = first; panel < std::min(panels, first + group); ++panel) {
        GemmPanel g{};
        g.a = packed.tile(b, row / simd::kRowTile), g.a_row = 1, g.a_step = simd::kRowTile;
        g.a_tile = simd::tile_stride(words);
        g.b = packed.panel(b, panel), g.b_step = kPanel;
        g.m = std::min(simd::kTileColumns, p.n - row), g.n = std::min(kPanel, p.k - panel * kPanel);
        g.k = words, g.k_block = words;
        g.c = p.dw.f32() + row * p.k + panel * kPanel, g.ldc = p.k, g.add = p.add || b > 0;
        gemm(g);
      }
    }
  });
}

}  // namespace belay::ops
