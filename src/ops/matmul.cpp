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

std::int64_t multiply_transposed_scratch(std::int64_t m, std::int64_t k, DType dtype,
                                         int n_threads) {
  const Index words = words_of(m, dtype), block = words_of(reduction_block(m), dtype);
  const Index tiles = ceil_div(simd::kTileColumns, simd::kRowTile);
  return 4 * (words * round_up(k, kPanel) + n_threads * tiles * simd::tile_stride(block));
}

void multiply_transposed(base::Context& ctx, const OuterProduct& p) {
  const Kernels& kern = simd::kernels(ctx.isa);
  const DType dtype = p.x.dtype;
  const bool bf16 = dtype == DType::kBF16;
  const Index pair = pair_of(dtype), block = reduction_block(p.m), block_words = block / pair;
  const Index blocks = ceil_div(p.m, block), panels = ceil_div(p.k, kPanel);
  auto* packed = reinterpret_cast<Word*>(p.scratch);  // [block][panel][words][64]
  const Index panel_words = block_words * kPanel;
  const Index tile_words = simd::tile_stride(block_words);
  Word* tiles = packed + words_of(p.m, dtype) * panels * kPanel;
  // x, packed once: the last block may be shorter, its panels then lie closer.
  const auto panel_at = [&](Index b, Index panel) {
    const Index words = std::min(block_words, words_of(p.m - b * block, dtype));
    return packed + b * panel_words * panels + panel * words * kPanel;
  };
  ctx.threads.parallel(blocks * panels, [&](std::int64_t i, int) {
    const Index b = i / panels, panel = i % panels, column = panel * kPanel;
    const Index rows = std::min(block, p.m - b * block), n = std::min(kPanel, p.k - column);
    const Index from = b * block * p.ldx + column;
    if (bf16) {
      kern.pack_columns_bf16(panel_at(b, panel), kPanel,
                             reinterpret_cast<const std::uint16_t*>(p.x.b16() + from), p.ldx, rows,
                             n);
    } else {
      kern.pack_columns_f32(panel_at(b, panel), kPanel, p.x.f32() + from, p.ldx, rows, n);
    }
  });
  const auto gemm = gemm_of(kern, dtype);
  const Index chunks = ceil_div(p.n, simd::kTileColumns);
  const Index group = ceil_div(panels, std::min(panels, ceil_div(kMinTasks / 2, chunks)));
  ctx.threads.parallel(chunks * ceil_div(panels, group), [&](std::int64_t task, int worker) {
    const Index row = task % chunks * simd::kTileColumns, first = task / chunks * group;
    const Index m = std::min(simd::kTileColumns, p.n - row);
    Word* a = tiles + worker * ceil_div(simd::kTileColumns, simd::kRowTile) * tile_words;
    for (Index b = 0; b < blocks; ++b) {
      const Index rows = std::min(block, p.m - b * block), words = words_of(rows, dtype);
      const Index from = b * block * p.ld_dy + row;
      if (bf16) {
        kern.pack_tiles_bf16(a, reinterpret_cast<const std::uint16_t*>(p.dy.b16() + from), p.ld_dy,
                             rows, m);
      } else {
        kern.pack_tiles_f32(a, p.dy.f32() + from, p.ld_dy, rows, m);
      }
      for (Index panel = first; panel < std::min(panels, first + group); ++panel) {
        GemmPanel g{};
        g.a = a, g.a_row = 1, g.a_step = simd::kRowTile, g.a_tile = simd::tile_stride(words);
        g.b = panel_at(b, panel), g.b_step = kPanel;
        g.m = m, g.n = std::min(kPanel, p.k - panel * kPanel), g.k = words, g.k_block = words;
        g.c = p.dw.f32() + row * p.k + panel * kPanel, g.ldc = p.k, g.add = p.add || b > 0;
        gemm(g);
      }
    }
  });
}

}  // namespace belay::ops
