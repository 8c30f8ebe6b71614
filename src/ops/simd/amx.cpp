// What AMX does in place of AVX-512-BF16's loops.
#include "ops/simd/amx.h"

#include "ops/simd/amx_few_rows.h"
#include "ops/simd/amx_outer.h"
#include "ops/simd/amx_quantized.h"
#include "ops/simd/attention_backward.h"
#include "ops/simd/attention_pages.h"

namespace belay::ops::simd::BELAY_ISA {
namespace {

void gemm(const GemmPanel& g) {
  g.m <= tiles::kTile ? tiles::few(g) : tiles::on_tiles<GemmPanel, gemm_panel<tiles::multiply>>(g);
}

struct Attention : ElemBf16 {
  static constexpr Index kPair = 2, kRows = tiles::kRows, kQueries = 64, kWords = tiles::kTile;
  static constexpr bool kTransposed = true;
  static void gemm(const GemmPanel& g) { tiles::multiply(g); }
  using Source = SourceBf16;
};

}  // namespace

Kernels with_tiles(Kernels kernels) {
  kernels.gemm_bf16 = gemm;
  kernels.gemm_q8 = tiles::quant_on_tiles<Codes8>;
  kernels.gemm_q4 = tiles::quant_on_tiles<Codes4>;
  kernels.outer_bf16 = tiles::on_tiles<OuterPanel, tiles::outer>;
  kernels.attention_forward[1] = tiles::on_tiles<AttentionTask, attention_forward<Attention>>;
  kernels.attention_backward[1] = tiles::on_tiles<AttentionTask, attention_backward<Attention>>;
  kernels.attention_paged[1] = tiles::on_tiles<AttentionTask, attention_paged<Attention>>;
  kernels.pack_tiles_bf16 = tiles::pack_tiles;
  kernels.outer_layout[1] = kTileOuter;
  return kernels;
}

}  // namespace belay::ops::simd::BELAY_ISA
