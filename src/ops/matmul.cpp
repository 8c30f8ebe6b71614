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

constexpr Index kOuterChunk = 24;         // least rows of a task of a weight gradient
constexpr Index kRowChunk = 96;           // rows of a task
constexpr Index kBlockChunks = 6;         // chunks that share a group of panels in the cache
constexpr Index kGroupWords = 96 * 1024;  // packed words that should stay in the second-level cache
constexpr Index kMinTasks = 32;           // so that the last task of a loop is short

Index pair_of(DType dtype) { return dtype == DType::kBF16 ? 2 : 1; }
Index words_of(Index elements, DType dtype) { return ceil_div(elements, pair_of(dtype)); }

Word* at(const View& v, Index element) {
  auto* bytes = static_cast<std::byte*>(v.data) + element * tensor::dtype_bytes(v.dtype);
  return reinterpret_cast<Word*>(bytes);
}

const std::uint16_t* halves(const View& v, Index element) {
  return reinterpret_cast<const std::uint16_t*>(v.b16() + element);
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
  if (w.dtype == DType::kBF16) {
    k.pack_rows_bf16(dst, kPanel, halves(w, first * in), in, in, n);
    return;
  }
  const float* src = w.f32() + first * in;
  (to.dtype == DType::kBF16 ? k.pack_rows_to_bf16 : k.pack_rows_f32)(dst, kPanel, src, in, in, n);
}

void pack_backward_panel(const Kernels& k, const View& w, const View& to, Index panel) {
  const Index out = w.shape[0], in = w.shape[1], first = panel * kPanel;
  const Index n = std::min(kPanel, in - first);
  Word* dst = at(to, first * to.shape[1]);
  if (w.dtype == DType::kBF16) {
    k.pack_columns_bf16(dst, kPanel, halves(w, first), in, out, n);
    return;
  }
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

void pack_weights(base::Context& ctx, std::span<const PackedWeight> weights) {
  const Kernels& k = simd::kernels(ctx.isa);
  const auto n_forward = [](const PackedWeight& p) {
    return p.forward ? ceil_div(p.w.shape[0], kPanel) : 0;
  };
  const auto n_panels = [&](std::size_t i) {
    const PackedWeight& p = weights[i];
    return n_forward(p) + (p.backward ? ceil_div(p.w.shape[1], kPanel) : 0);
  };
  for_parts(ctx, weights.size(), 1, n_panels, [&](std::size_t i, std::int64_t panel, std::int64_t) {
    const PackedWeight& p = weights[i];
    if (panel < n_forward(p)) {
      pack_forward_panel(k, p.w, p.forward, panel);
    } else {
      pack_backward_panel(k, p.w, p.backward, panel - n_forward(p));
    }
  });
}

namespace {

/// A product cut into tasks.
struct ProductTasks {
  const Product& p;
  DType dtype;
  Index words, panels, panel_words, chunks, group, groups;

  explicit ProductTasks(const Product& product)
      : p(product),
        dtype(p.x.dtype),
        words(words_of(p.k, dtype)),
        panels(ceil_div(p.n, kPanel)),
        panel_words(words_of(p.b.shape[1], dtype) * kPanel),
        chunks(ceil_div(p.m, kRowChunk)),
        group(panels_a_task(panels, words, chunks)),
        groups(ceil_div(panels, group)) {
    BELAY_CHECK(p.b.dtype == dtype && p.ldx % pair_of(dtype) == 0,
                "operands of a product must agree");
  }
  Index count() const { return chunks * groups; }

  void run(const Kernels& kernels, Index task) const {
    const auto gemm = gemm_of(kernels, dtype);
    // Blocks of chunks; inside one, all chunks meet a group of panels before the next group comes.
    const Index block = task / (kBlockChunks * groups), within = task % (kBlockChunks * groups);
    const Index deep = std::min(kBlockChunks, chunks - block * kBlockChunks);
    const Index row = (block * kBlockChunks + within % deep) * kRowChunk,
                first = within / deep * group;
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
  }
};

}  // namespace

void multiply(base::Context& ctx, const Product& p) {
  const Kernels& kernels = simd::kernels(ctx.isa);
  const ProductTasks tasks(p);
  ctx.threads.parallel(tasks.count(), [&](std::int64_t task, int) { tasks.run(kernels, task); });
}

namespace {

/// The operands of one block of rows of dy^T x, packed as the loops take them: x as panels
/// [panel][words][columns], dy as tiles. Small enough to stay in the last-level cache between
/// packing and use.
struct PackedBlock {
  simd::OuterLayout layout;
  Index row, rows, words;  // of dy and x
  Word *x, *dy;

  PackedBlock(const OuterProduct& p, const simd::OuterLayout& how, Index first, Index n_rows)
      : layout(how),
        row(first),
        rows(n_rows),
        words(round_up(words_of(n_rows, p.x.dtype), how.words)),
        x(reinterpret_cast<Word*>(p.scratch)),
        dy(x + words * round_up(p.k, how.columns)) {}
  Word* panel(Index i) const { return x + i * words * layout.columns; }
  Word* tile(Index i) const { return dy + i * words * layout.rows; }
};

constexpr Index kPackChunk = 32;  // rows of a task: whole strips

/// Packs a strip of rows from `begin` of the block on: read along, written as whole cache lines.
void pack_strip(const Kernels& kern, const OuterProduct& p, const PackedBlock& to, Index begin) {
  const bool bf16 = p.x.dtype == DType::kBF16;
  const Index rows = std::min(to.layout.strip, to.rows - begin), row = to.row + begin;
  const Index word = begin / pair_of(p.x.dtype), wide = to.layout.columns;
  const Index last = word + words_of(rows, p.x.dtype), end = round_up(last, to.layout.words);
  for (Index column = 0; column < p.k; column += wide) {
    Word* panel = to.panel(column / wide);
    const Index n = std::min(wide, p.k - column), from = row * p.ldx + column;
    if (bf16) {
      kern.pack_columns_bf16(panel + word * wide, wide, halves(p.x, from), p.ldx, rows, n);
    } else {
      kern.pack_columns_f32(panel + word * wide, wide, p.x.f32() + from, p.ldx, rows, n);
    }
    std::fill(panel + last * wide, panel + end * wide, Word{0});
  }
  Word* dst = to.tile(0) + word * to.layout.rows;
  const Index stride = to.words * to.layout.rows, from = row * p.ld_dy;
  if (bf16) {
    kern.pack_tiles_bf16(dst, stride, halves(p.dy, from), p.ld_dy, rows, p.n);
  } else {
    kern.pack_tiles_f32(dst, stride, p.dy.f32() + from, p.ld_dy, rows, p.n);
  }
}

/// dw (+)= the product of one packed block.
void outer_block(base::Context& ctx, const OuterProduct& p, const PackedBlock& b, bool add) {
  const Kernels& kern = simd::kernels(ctx.isa);
  const auto outer = p.x.dtype == DType::kBF16 ? kern.outer_bf16 : kern.outer_f32;
  const Index wide = b.layout.columns, chunk = round_up(kOuterChunk, b.layout.rows);
  const Index chunks = ceil_div(p.n, chunk), panels = ceil_div(p.k, wide);
  const Index group = ceil_div(panels, std::min(panels, ceil_div(2 * kMinTasks, chunks)));
  ctx.threads.parallel(chunks * ceil_div(panels, group), [&](std::int64_t task, int) {
    const Index row = task % chunks * chunk, first = task / chunks * group;
    for (Index panel = first; panel < std::min(panels, first + group); ++panel) {
      const Index column = panel * wide;
      outer({.a = b.tile(row / b.layout.rows),
             .a_tile = b.words * b.layout.rows,
             .b = b.panel(panel),
             .m = std::min(chunk, p.n - row),
             .n = std::min(wide, p.k - column),
             .k = b.words,
             .c = p.dw.f32() + row * p.k + column,
             .ldc = p.k,
             .add = add});
    }
  });
}

}  // namespace

std::int64_t multiply_transposed_scratch(std::int64_t m, std::int64_t n, std::int64_t k,
                                         DType dtype) {
  // The most that any layout takes, so that a plan of memory holds on every machine.
  const auto bytes = [&](const simd::OuterLayout& how) {
    const Index words = round_up(words_of(std::min(m, kGradientBlock), dtype), how.words);
    return 4 * words * (round_up(k, how.columns) + round_up(n, std::max<Index>(16, how.rows)));
  };
  return std::max(bytes(simd::kVectorOuter), bytes(simd::kTileOuter));
}

void multiply_transposed(base::Context& ctx, const OuterProduct& p, const Product* beside) {
  const Kernels& kern = simd::kernels(ctx.isa);
  for (Index row = 0; row < p.m; row += kGradientBlock) {
    const PackedBlock b(p, kern.outer_layout[type_index(p.x.dtype)], row,
                        std::min<Index>(kGradientBlock, p.m - row));
    const auto pack = [&](Index chunk) {
      const Index end = std::min(b.rows, (chunk + 1) * kPackChunk);
      for (Index r = chunk * kPackChunk; r < end; r += b.layout.strip) pack_strip(kern, p, b, r);
    };
    const Index n_packs = ceil_div(b.rows, kPackChunk);
    if (beside != nullptr && row == 0) {
      // Spread evenly, so that each worker meets the same rows in both.
      const ProductTasks tasks(*beside);
      const Index n = tasks.count() + n_packs;
      ctx.threads.parallel(n, [&](std::int64_t i, int) {
        const Index done = i * n_packs / n, after = (i + 1) * n_packs / n;
        after > done ? pack(done) : tasks.run(kern, i - done);
      });
    } else {
      ctx.threads.parallel(n_packs, [&](std::int64_t i, int) { pack(i); });
    }
    outer_block(ctx, p, b, p.add || row > 0);
  }
}

}  // namespace belay::ops
