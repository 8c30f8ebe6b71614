// One table of fast loops; this file is compiled once for each instruction set.
#include "ops/simd/kernels.h"

#include "ops/simd/attention_backward.h"
#include "ops/simd/attention_pages.h"
#include "ops/simd/gemm.h"
#include "ops/simd/quantized.h"
#include "ops/simd/rope.h"
#include "ops/simd/rows.h"

namespace belay::ops::simd::BELAY_ISA {

extern const Kernels kTable;
const Kernels kTable = {
    .gemm_f32 = gemm<MaddF32>,
    .gemm_bf16 = gemm<MaddBf16>,
    .gemm_q8 = quant_panels<Codes8>,
    .gemm_q4 = quant_panels<Codes4>,
    .quantize_rows = {quantize_rows<ElemF32>, quantize_rows<ElemBf16>},
    .search_scale = search_scale,
    .outer_f32 = outer_panel<MaddF32>,
    .outer_bf16 = outer_panel<MaddBf16>,
    .outer_layout = {kVectorOuter, kVectorOuter},
    .norm_forward = {norm_forward<ElemF32>, norm_forward<ElemBf16>},
    .norm_backward = {norm_backward<ElemF32>, norm_backward<ElemBf16>},
    .swiglu_forward = {swiglu_forward<ElemF32>, swiglu_forward<ElemBf16>},
    .swiglu_backward = {swiglu_backward<ElemF32>, swiglu_backward<ElemBf16>},
    .rope_forward = {rope_forward<ElemF32>, rope_forward<ElemBf16>},
    .rope_backward = {rope_backward<ElemF32>, rope_backward<ElemBf16>},
    .attention_forward = {attention_forward<AttnF32>, attention_forward<AttnBf16>},
    .attention_backward = {attention_backward<AttnF32>, attention_backward<AttnBf16>},
    .attention_paged = {attention_paged<AttnF32>, attention_paged<AttnBf16>},
    .head_row = {head_row<ElemF32>, head_row<ElemBf16>},
    .softmax_row = softmax_row,
    .add_converted = {add_converted<ElemF32>, add_converted<ElemBf16>},
    .add_row = add_row,
    .scale_row = {scale_row<ElemF32>, scale_row<ElemBf16>},
    .sum_squares = sum_squares,
    .adamw = adamw,
    .combine = combine,
    .pack_columns_f32 = pack_columns<SourceF32>,
    .pack_columns_bf16 = pack_columns<SourceBf16>,
    .pack_columns_to_bf16 = pack_columns<SourceToBf16>,
    .pack_tiles_f32 = pack_tiles<SourceF32>,
    .pack_tiles_bf16 = pack_tiles<SourceBf16>,
    .pack_rows_f32 = pack_rows<SourceF32>,
    .pack_rows_bf16 = pack_rows<SourceBf16>,
    .pack_rows_to_bf16 = pack_rows<SourceToBf16>,
};

}  // namespace belay::ops::simd::BELAY_ISA
