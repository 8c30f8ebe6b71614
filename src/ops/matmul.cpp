#include "ops/matmul.h"

#include <algorithm>

#include "base/status.h"
#include "ops/quantized.h"
#include "ops/simd/dispatch.h"

namespace belay::ops {
namespace {

using simd::GemmPanel;
using simd::Index;
using simd::Kernels;
using simd::kPanel;
using simd::Word;

constexpr Index kOuterChunk = 64;         // rows of a task of a weight gradient: whole tiles
constexpr Index kPackRows = 32;           // rows of x that a task packs: whole words of tiles
constexpr Index kRowChunk = 96;           // rows of a task
constexpr Index kBlockChunks = 6;         // chunks that share a group of panels in the cache
constexpr Index kLeastChunks = 4;         // that are worth reading the packed operand again
constexpr Index kGroupWords = 96 * 1024;  // packed words that should stay in the second-level cache
constexpr Index kMinTasks = 32;           // so that the last task of a loop is short
constexpr Index kOuterTasks = 6;          // of a weight gradient, for each thread: no fewer

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

/// How a product of few rows reads its weights: how many panels side by side, and how many bytes
/// before it reads them it asks for them (0: the processor's own guess is better). Measured on Zen
/// 4 and Zen 5 (docs/log/2026-11-28-zen5.md); tiles have their own.
struct Reading {
  Index panels, ahead;
};
Reading reading_of(Index rows, DType weights, base::Isa isa) {
  constexpr int kZen5 = 26;
  const bool quantized = tensor::is_quantized(weights);
  const bool side_by_side = isa == base::Isa::kAvx512 || isa == base::Isa::kAvx512Bf16;
  if (base::amd_family() < kZen5 || !side_by_side) {
    return {1, quantized ? 1024 : rows < simd::kRowTile ? 3072 : 6144};
  }
  if (quantized) return weights == DType::kQ8 && rows <= 2 ? Reading{2, 3072} : Reading{1, 6144};
  return rows <= 3 ? Reading{rows == 1 ? 4 : 2, 0} : Reading{1, 6144};
}

/// Blocks of chunks: where there are enough, a multiple of the threads, so that a worker's own
/// range of tasks is the rows that it also has in the operations before and after.
Index blocks_of(Index chunks, Index threads) {
  const Index least = ceil_div(chunks, kBlockChunks), blocks = round_up(least, threads);
  return chunks >= kLeastChunks * blocks ? blocks : least;
}

/// Rows [from, from + n) of w as the panel that begins with row `first`.
void pack_rows(const Kernels& k, const View& w, Index from, Index n, const View& to, Index first) {
  const Index in = w.shape[1];
  Word* dst = at(to, first * in);
  if (w.dtype == DType::kBF16) {
    k.pack_rows_bf16(dst, kPanel, halves(w, from * in), in, in, n);
    return;
  }
  const float* src = w.f32() + from * in;
  (to.dtype == DType::kBF16 ? k.pack_rows_to_bf16 : k.pack_rows_f32)(dst, kPanel, src, in, in, n);
}

void pack_forward_panel(const Kernels& k, const View& w, const View& to, Index panel) {
  const Index first = panel * kPanel;
  pack_rows(k, w, first, std::min(kPanel, w.shape[0] - first), to, first);
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

tensor::Shape packed_forward_shape(std::int64_t out, std::int64_t in, DType dtype) {
  return {round_up(out, kPanel),
          tensor::is_quantized(dtype) ? round_up(in, tensor::kQuantGroup) : in};
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

void pack_panel(base::Isa isa, const View& rows, std::int64_t first, const View& forward) {
  const Index n = rows.shape[0];
  BELAY_CHECK(n <= kPanel && first % kPanel == 0, "one panel of rows");
  if (tensor::is_quantized(forward.dtype)) {
    BELAY_CHECK(rows.dtype == forward.dtype, "quantized rows stay of their type");
    return pack_blocks(static_cast<const std::byte*>(rows.data), n, rows.shape[1], forward,
                       first / kPanel);
  }
  pack_rows(simd::kernels(isa), rows, 0, n, forward, first);
}

namespace {

/// A product cut into tasks.
struct ProductTasks {
  const Product& p;
  DType dtype;
  Index words, panels, panel_bytes, chunks, blocks;
  Reading reading;
  Index group, groups;

  ProductTasks(const Product& product, base::Context& ctx)
      : p(product),
        dtype(p.x.dtype),
        words(words_of(p.k, dtype)),
        panels(ceil_div(p.n, kPanel)),
        panel_bytes(tensor::stored_bytes(p.b.dtype, p.b.shape[1] * kPanel)),
        chunks(ceil_div(p.m, kRowChunk)),
        blocks(blocks_of(chunks, ctx.threads.size())),
        reading(reading_of(p.m, p.b.dtype, ctx.isa)),
        group(group_of(ctx.threads.size())),
        groups(ceil_div(panels, group)) {
    BELAY_CHECK(
        p.ldx % pair_of(dtype) == 0 && (p.b.dtype == dtype || tensor::is_quantized(p.b.dtype)),
        "operands of a product must agree");
  }
  Index count() const { return chunks * groups; }

  void run(const Kernels& kernels, Index task, const QuantizedRows* quantized) const {
    // Blocks of chunks; inside one, all chunks meet a group of panels before the next group comes.
    const Index block = ((task / groups + 1) * blocks - 1) / chunks, chunk = first_chunk(block);
    const Index deep = first_chunk(block + 1) - chunk, within = task - chunk * groups;
    const Index row = (chunk + within % deep) * kRowChunk, first = within / deep * group;
    const Index end = std::min(panels, first + group);
    for (Index panel = first; panel < end; panel += reading.panels) {
      const Index n = std::min(reading.panels, end - panel);
      quantized != nullptr ? run_quantized(kernels, row, panel, n, *quantized)
                           : run_panels(kernels, row, panel, n);
    }
  }

 private:
  Index first_chunk(Index block) const { return block * chunks / blocks; }

  /// Panels of a task: whole readings, where that leaves each thread two tasks.
  Index group_of(Index threads) const {
    const Index near = panels_a_task(panels, words, chunks), most = panels / (2 * threads);
    const Index whole = round_up(near, reading.panels);
    return whole <= most ? whole : std::max(near, std::min(reading.panels, most));
  }

  /// Where the results of a panel go, and how many they are.
  template <class Args>
  void set_output(Args& g, Index row, Index column) const {
    const Index out = row * p.ldy + column;
    g.m = std::min(kRowChunk, p.m - row), g.n = std::min(g.panels * kPanel, p.n - column);
    g.ahead = reading.ahead;
    g.bias = p.bias == nullptr ? nullptr : p.bias + column;
    g.ldc = p.ldy, g.add = p.add;
    if (p.y.dtype == DType::kBF16) {
      g.y = reinterpret_cast<std::uint16_t*>(p.y.b16() + out);
    } else {
      g.c = p.y.f32() + out;
    }
  }

  const std::byte* panel_at(Index panel) const {
    return static_cast<const std::byte*>(p.b.data) + panel * panel_bytes;
  }

  void run_panels(const Kernels& kernels, Index row, Index panel, Index n) const {
    GemmPanel g{};
    g.panels = n, g.next = panel_bytes / static_cast<Index>(sizeof(Word));
    g.a = at(p.x, row * p.ldx), g.a_row = p.ldx / pair_of(dtype), g.a_step = 1;
    g.b = reinterpret_cast<const Word*>(panel_at(panel)), g.b_step = kPanel;
    g.k = words, g.k_block = reduction_block(p.k) / pair_of(dtype);
    g.stream = p.m <= simd::kStreamRows;
    set_output(g, row, panel * kPanel);
    gemm_of(kernels, dtype)(g);
  }

  void run_quantized(const Kernels& kernels, Index row, Index panel, Index n,
                     const QuantizedRows& q) const {
    simd::QuantPanel g{};
    g.panels = n, g.next = panel_bytes;
    g.a = q.codes + row * q.groups * tensor::kQuantGroup;
    g.a_scale = q.scale + row * q.groups, g.a_sum = q.sum + row * q.groups;
    g.groups = q.groups, g.b = panel_at(panel);
    set_output(g, row, panel * kPanel);
    (p.b.dtype == DType::kQ8 ? kernels.gemm_q8 : kernels.gemm_q4)(g);
  }
};

}  // namespace

void multiply(base::Context& ctx, const Product& p) {
  const Kernels& kernels = simd::kernels(ctx.isa);
  const ProductTasks tasks(p, ctx);
  const bool is_quantized = tensor::is_quantized(p.b.dtype);
  BELAY_CHECK(!is_quantized || p.scratch != nullptr, "room for quantized rows");
  QuantizedRows q{};
  if (is_quantized) q = quantize_rows(ctx, p.x, p.m, p.k, p.ldx, p.scratch);
  ctx.threads.parallel(tasks.count(), [&](std::int64_t task, int) {
    tasks.run(kernels, task, is_quantized ? &q : nullptr);
  });
}

std::int64_t multiply_scratch(std::int64_t m, std::int64_t k, DType b) {
  return tensor::is_quantized(b) ? quantized_rows_bytes(m, k) : 0;
}

namespace {

/// One block of rows of dy^T x. x is packed as panels [panel][words][columns] for all tasks; each
/// task packs its columns of dy as tiles that stay in its worker's second-level cache.
class OuterBlock {
 public:
  OuterBlock(const Kernels& kernels, const OuterProduct& product, Index first)
      : kern_(kernels),
        p_(product),
        how_(kernels.outer_layout[type_index(p_.x.dtype)]),
        row_(first),
        rows_(std::min<Index>(kGradientBlock, p_.m - first)),
        words_(round_up(words_of(rows_, p_.x.dtype), how_.words)),
        x_(reinterpret_cast<Word*>(p_.scratch)),
        tiles_(x_ + words_ * round_up(p_.k, how_.columns)) {}

  Index n_packs() const { return ceil_div(rows_, kPackRows); }

  /// Packs some rows of x: read along, written as whole cache lines.
  void pack(Index index) const {
    const Index begin = index * kPackRows, rows = std::min(kPackRows, rows_ - begin);
    const Index word = begin / pair_of(p_.x.dtype), wide = how_.columns;
    const Index last = word + words_of(rows, p_.x.dtype), end = round_up(last, how_.words);
    for (Index column = 0; column < p_.k; column += wide) {
      Word* to = panel(column / wide);
      const Index n = std::min(wide, p_.k - column), from = (row_ + begin) * p_.ldx + column;
      if (p_.x.dtype == DType::kBF16) {
        kern_.pack_columns_bf16(to + word * wide, wide, halves(p_.x, from), p_.ldx, rows, n);
      } else {
        kern_.pack_columns_f32(to + word * wide, wide, p_.x.f32() + from, p_.ldx, rows, n);
      }
      std::fill(to + last * wide, to + end * wide, Word{0});
    }
  }

  /// dw (+)= the product of this block.
  void multiply(base::Context& ctx, bool add) const {
    const Index n_tasks = kOuterTasks * ctx.threads.size();
    // Few columns of dy: short chunks rather than groups of panels, each of which packs them again.
    const Index chunk = p_.n < kOuterChunk * n_tasks ? kOuterChunk / 2 : kOuterChunk;
    const Index chunks = ceil_div(p_.n, chunk), panels = ceil_div(p_.k, how_.columns);
    const Index groups = std::min(panels, ceil_div(n_tasks, chunks));
    const Index group = ceil_div(panels, groups);
    ctx.threads.parallel(chunks * ceil_div(panels, group), [&](std::int64_t task, int worker) {
      const Index first = task / chunks * group, row = task % chunks * chunk;
      run(row, std::min(chunk, p_.n - row), first, std::min(panels, first + group),
          tiles_ + worker * words_ * kOuterChunk, add);
    });
  }

 private:
  Word* panel(Index i) const { return x_ + i * words_ * how_.columns; }

  /// Columns [row, row + m) of dy by panels [first, last) of x.
  void run(Index row, Index m, Index first, Index last, Word* tiles, bool add) const {
    const bool bf16 = p_.x.dtype == DType::kBF16;
    const Index tile = words_ * how_.rows, from = row_ * p_.ld_dy + row;
    if (bf16) {
      kern_.pack_tiles_bf16(tiles, tile, halves(p_.dy, from), p_.ld_dy, rows_, m);
    } else {
      kern_.pack_tiles_f32(tiles, tile, p_.dy.f32() + from, p_.ld_dy, rows_, m);
    }
    for (Index i = first; i < last; ++i) {
      const Index column = i * how_.columns;
      (bf16 ? kern_.outer_bf16 : kern_.outer_f32)({.a = tiles,
                                                   .a_tile = tile,
                                                   .b = panel(i),
                                                   .m = m,
                                                   .n = std::min(how_.columns, p_.k - column),
                                                   .k = words_,
                                                   .c = p_.dw.f32() + row * p_.k + column,
                                                   .ldc = p_.k,
                                                   .add = add});
    }
  }

  const Kernels& kern_;
  const OuterProduct& p_;
  const simd::OuterLayout how_;
  const Index row_, rows_, words_;  // of dy and x
  Word *const x_, *const tiles_;
};

}  // namespace

std::int64_t multiply_transposed_scratch(std::int64_t m, std::int64_t k, DType dtype,
                                         int n_threads) {
  // The most that any layout takes, so that a plan of memory holds on every machine.
  const auto bytes = [&](const simd::OuterLayout& how) {
    const Index words = round_up(words_of(std::min(m, kGradientBlock), dtype), how.words);
    return 4 * words * (round_up(k, how.columns) + n_threads * kOuterChunk);
  };
  return std::max(bytes(simd::kVectorOuter), bytes(simd::kTileOuter));
}

void multiply_transposed(base::Context& ctx, const OuterProduct& p, const Product* beside) {
  const Kernels& kern = simd::kernels(ctx.isa);
  for (Index row = 0; row < p.m; row += kGradientBlock) {
    const OuterBlock block(kern, p, row);
    const Index n_packs = block.n_packs();
    if (beside != nullptr && row == 0) {
      const ProductTasks tasks(*beside, ctx);
      const Index n = n_packs + tasks.count();
      // One block: evenly mixed, so that a worker's own range has the same rows of both.
      const Index mixed = p.m <= kGradientBlock ? n : n_packs;
      ctx.threads.parallel(n, [&](std::int64_t i, int) {
        const Index pack = std::min(n_packs, i * n_packs / mixed);
        const bool packs = std::min(n_packs, (i + 1) * n_packs / mixed) > pack;
        packs ? block.pack(pack) : tasks.run(kern, i - pack, nullptr);
      });
    } else {
      ctx.threads.parallel(n_packs, [&](std::int64_t i, int) { block.pack(i); });
    }
    block.multiply(ctx, p.add || row > 0);
  }
}

}  // namespace belay::ops
