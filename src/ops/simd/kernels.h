// The table of fast loops, one instance for each instruction set (kernels.cpp in this folder,
// compiled once for each); dispatch.cpp picks. An operation calls these on rows and tiles that it
// has cut; loops here allocate nothing, know nothing of threads, and never depend on where a tile's
// border lies.
//
// A "word" is 32 bits: one float, or a pair of bf16 (2j, 2j + 1), low half first. Matrix products
// are written on words, so that f32 and bf16 share one loop: a product's K is counted in words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace belay::ops::simd {

using Index = std::ptrdiff_t;
using Word = std::uint32_t;

constexpr Index kPanel = 64;       // columns of a packed panel
constexpr Index kRowTile = 6;      // rows that a product keeps in registers
constexpr Index kOuterRows = 8;    // rows of an outer product that vectors keep in registers,
constexpr Index kOuterPanel = 48;  // beside this many columns
constexpr Index kStreamRows = 16;  // rows up to which a product waits for the memory of B
constexpr Index kKeyBlock = 64;    // keys that attention takes at a time, from the document's start
constexpr Index kQueryTile = 48;   // queries that attention takes at a time: not part of the order
constexpr Index kBackwardTile = 96;   // the same in backward, where it is part of it
constexpr Index kSoftmaxBlock = 256;  // numbers that SoftmaxRow sums apart
constexpr Index kMaxHeadDim = 1024;   // the most that a config may ask for (model/config.h)

/// C[m, n] (+)= A[m, k] B[k, n] on one panel of B, or of up to three rows on several. The sum over
/// k ascends by fused multiply-add inside blocks of k_block words, each from zero; the blocks are
/// added in order.
struct GemmPanel {
  const Word* a;  // word (row, k) at a[row * a_row + k * a_step]
  Index a_row, a_step;
  const Word* b;  // word (k, column) at b[k * b_step + column]; columns padded to 16
  Index b_step;
  Index m, n, k, k_block;       // n <= kPanel * panels
  const float* bias = nullptr;  // [n], added once
  float* c = nullptr;           // f32 output (row stride ldc), or
  std::uint16_t* y = nullptr;   // bf16 output (row stride ldc)
  Index ldc = 0;
  bool add = false;              // c += product
  const float* scale = nullptr;  // c = c * scale[row] + product
  bool stream = false;           // few rows: B comes from memory, once
  Index ahead = 0;               // it is asked for so many bytes before; 0: the processor does it
  Index panels = 1, next = 0;    // panels of B, so many words apart, that are read side by side
};

/// How outer_* takes its operands: A as tiles of `rows` rows, B as panels of `columns` columns, k
/// a multiple of `words`.
struct OuterLayout {
  Index rows, columns, words;
};
constexpr OuterLayout kVectorOuter = {.rows = kOuterRows, .columns = kOuterPanel, .words = 1};
constexpr OuterLayout kTileOuter = {.rows = 16, .columns = 64, .words = 16};  // AMX

/// C[m, n] (+)= sum over k of A[., k] B[k, .], for weight gradients: A as tiles, a_tile words apart
/// and zero-filled ([k][8] for vectors), B a panel [k][columns]. One sum, ascending in k, from
/// zero.
struct OuterPanel {
  const Word* a;
  Index a_tile;
  const Word* b;
  Index m, n, k;  // n <= the panel's columns
  float* c;
  Index ldc;
  bool add;
};

constexpr Index kQuantGroup = 32;  // weights, and activations, that share a scale
constexpr Index kScaleBytes = kPanel * 2;

/// Activations as bytes: of each row, every kQuantGroup numbers (the last filled up with zeros) get
/// a scale, max |x| / 127, and are divided by it and rounded to nearest even. Where a number is not
/// finite, neither is the scale. Of scales and sums sixteen rows stand side by side; there is room
/// for whole sixteens of rows in all three, and what is in the rest does not matter.
struct QuantizeRows {
  const void* x;  // E
  Index ld;
  std::int8_t* codes;  // [rows][groups * kQuantGroup]
  float* scale;        // [rows / 16][groups][16]
  std::int32_t* sum;   // [rows / 16][groups][16]: of the codes
  Index first, rows;   // of the rows that these begin with: those to quantize
  Index width;
};

/// C[m, n] (+)= A B^T, A quantized activations, B one panel of quantized weights: for each group of
/// k kPanel scales in half precision, then for each 16 columns the codes as words of four along k,
/// [word][column]: signed bytes in eight words, or 4 bits, 8 added, in four words whose low halves
/// are k 0 to 15 and whose high halves the others. The dot product of a group is exact;
/// y = fma(dot, weight scale * activation scale, y) over the groups ascending, from zero.
struct QuantPanel {
  const std::int8_t* a;  // as QuantizeRows writes them
  const float* a_scale;
  const std::int32_t* a_sum;
  Index groups;
  const std::byte* b;
  Index m, n;                   // n <= kPanel * panels
  const float* bias = nullptr;  // as GemmPanel's
  float* c = nullptr;
  std::uint16_t* y = nullptr;
  Index ldc = 0;
  bool add = false;
  Index ahead = 1024;          // B is asked for so many bytes before
  Index panels = 1, next = 0;  // as GemmPanel's, in bytes
};

/// Asks for `lines` cache lines that begin `distance` bytes behind p. What is there need not be
/// ours.
inline __attribute__((always_inline)) void ask_ahead(const void* p, int lines, Index distance) {
  const char* ahead = static_cast<const char*>(p) + distance;
#pragma GCC unroll 64
  for (int i = 0; i < lines; ++i) __builtin_prefetch(ahead + 64 * i, 0, 2);
}

/// x' = x + delta, h = x' rstd w with rstd = 1 / sqrt(mean(x'^2) + eps); rows of `width`.
struct NormRows {
  const float* x;     // backward: x', the normalized input
  const void* delta;  // E, or null
  const float* w;
  float* x_out;  // x', or null when there is no delta
  void* h;       // E
  float* rstd;
  const void* dh = nullptr;       // E
  const float* dx_out = nullptr;  // gradient of x', or null
  float* dx = nullptr;            // dx (+)= gradient; may be dx_out
  void* d_delta = nullptr;        // E: the same gradient
  float* dw = nullptr;            // [width], added to
  Index rows = 0, width = 0;
  float eps = 0;
  bool add = false;
};

/// gu: rows of [gate | up], each `width` wide.
struct GateRows {
  const void* gu;
  void* out;
  const void* d_out = nullptr;
  void* d_gu = nullptr;
  Index rows = 0, width = 0;
};

/// in, out: rows of (H + 2 Hkv) D: q heads and k heads are normalized (if weights) and turned, v
/// copied.
struct RopeRows {
  const void* in;
  void* out;
  const std::int32_t* positions;
  const float *cos, *sin;            // [position][D / 2]
  const float *q_weight, *k_weight;  // [D], or null
  const void* d_out = nullptr;
  void* d_in = nullptr;
  float *dq_weight = nullptr, *dk_weight = nullptr;  // [D], added to
  Index rows = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;
  float eps = 0;
};

/// e^(scale z - most) of a row of logits z, most = max scale z, and the sum's logarithm. In the
/// order of HeadRow, so that with scale 1 scale z[i] - most - log_sum is the same log-probability.
struct SoftmaxRow {
  const float* logits;
  Index n;
  float scale;
  float* e;     // [n]; may be logits
  float* sums;  // of every kSoftmaxBlock of e
  float* most;
  double* log_sum;
};

struct HeadRow {
  float* logits;  // [vocab], overwritten
  Index vocab;
  std::int32_t target;  // negative: no target
  float weight;         // of this token in the loss
  float z_loss;         // weight of log-sum-exp^2 beside -log p, in the gradient
  float* logprob;
  void* out;  // E [vocab], or null
};

struct AdamwRows {
  float *w, *m, *v;
  const float* g;
  Index n;
  float lr, beta1, beta2, eps, decay, grad_scale, correction1, correction2;
};

/// One document and one key/value head with the `group` query heads that share it.
struct AttentionTask {
  const void *q, *k, *v;  // E; query row r, head h at q + r * ld + h * head_dim
  void* out;              // E, row stride ld_out
  float* lse;             // [group] rows of stride ld_lse; may be null in forward
  Index ld, ld_kv, ld_out, ld_lse;
  Index n_queries, n_keys, first_query;  // query r stands at position first_query + r
  Index group, head_dim;
  float scale;
  Index window = 0;  // > 0: a query sees its own position and the window - 1 before it
  const void* d_out = nullptr;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;  // strides ld, ld_kv, ld_kv
  void* scratch = nullptr;                           // attention_scratch() bytes
  // Paged: k and v are those of the queries' own positions; they are put into pages of kKeyBlock
  // positions, which then hold every key. Page p begins at page_keys + p * page_words.
  void *page_keys = nullptr, *page_values = nullptr;
  const std::int32_t* pages = nullptr;  // of positions 64 i to 64 i + 63
  Index page_words = 0;
  // In pages of bytes: f32 [2][kKeyBlock], the scales of keys and of values; page_keys are then
  // codes [head_dim][kKeyBlock], page_values codes [kKeyBlock][byte_row(head_dim)].
  float* page_scales = nullptr;
};

/// By element type of the activations: [0] f32, [1] bf16.
template <class Args>
using ByType = void (*[2])(const Args&);

struct Kernels {
  void (*gemm_f32)(const GemmPanel&);
  void (*gemm_bf16)(const GemmPanel&);
  void (*gemm_q8)(const QuantPanel&);
  void (*gemm_q4)(const QuantPanel&);
  ByType<QuantizeRows> quantize_rows;
  /// The scale under which a group's numbers, as codes of 4 bits, have the least squared error; 0
  /// of zeros.
  float (*search_scale)(const float* x);
  void (*outer_f32)(const OuterPanel&);
  void (*outer_bf16)(const OuterPanel&);
  OuterLayout outer_layout[2];  // by type, as below

  ByType<NormRows> norm_forward, norm_backward;
  ByType<GateRows> swiglu_forward, swiglu_backward;
  ByType<RopeRows> rope_forward, rope_backward;
  ByType<AttentionTask> attention_forward, attention_backward, attention_paged;
  ByType<HeadRow> head_row;
  void (*softmax_row)(const SoftmaxRow&);
  void (*add_converted[2])(float* to, const void* from, Index n);
  void (*add_row)(float* to, const float* from, Index n);
  void (*scale_row[2])(void* to, float scale, const float* from, Index n);
  float (*sum_squares)(const float* x, Index n);
  void (*adamw)(const AdamwRows&);
  void (*combine)(float* out, float a, const float* x, float b, const float* y, Index n);

  // Packing. dst is a panel of words [k][step]; n <= step columns, zero-filled up to a multiple
  // of 16.
  // *_columns: src [k, n], the reduction runs down the rows; odd k gets a row of zeros.
  // *_rows: src [n, k], the reduction runs along the rows (k even for bf16).
  void (*pack_columns_f32)(Word* dst, Index step, const float* src, Index ld, Index k, Index n);
  void (*pack_columns_bf16)(Word* dst, Index step, const std::uint16_t* src, Index ld, Index k,
                            Index n);
  void (*pack_columns_to_bf16)(Word* dst, Index step, const float* src, Index ld, Index k, Index n);
  // pack_tiles_*: src [k, n] as A operand of OuterPanel, tiles `stride` words apart.
  void (*pack_tiles_f32)(Word* dst, Index stride, const float* src, Index ld, Index k, Index n);
  void (*pack_tiles_bf16)(Word* dst, Index stride, const std::uint16_t* src, Index ld, Index k,
                          Index n);

  void (*pack_rows_f32)(Word* dst, Index step, const float* src, Index ld, Index k, Index n);
  void (*pack_rows_bf16)(Word* dst, Index step, const std::uint16_t* src, Index ld, Index k,
                         Index n);
  void (*pack_rows_to_bf16)(Word* dst, Index step, const float* src, Index ld, Index k, Index n);
};

/// 32-bit words of one head's packed keys, and values, of a page (kKeyBlock positions).
constexpr Index page_key_words(Index head_dim, Index element_bytes) {
  return head_dim * element_bytes / 4 * kKeyBlock;
}
constexpr Index page_value_words(Index head_dim, Index element_bytes) {
  const Index step = head_dim >= kPanel ? kPanel : (head_dim + 15) / 16 * 16;
  return (head_dim + kPanel - 1) / kPanel * (kKeyBlock * element_bytes / 4) * step;
}

/// Codes of a value, filled up with zeros; and the 32-bit words of one head's keys, values and
/// scales in a page of bytes.
constexpr Index byte_row(Index head_dim) { return (head_dim + 15) / 16 * 16; }
constexpr Index byte_key_words(Index head_dim) { return head_dim * kKeyBlock / 4; }
constexpr Index byte_value_words(Index head_dim) { return byte_row(head_dim) * kKeyBlock / 4; }
constexpr Index kByteScaleWords = 2 * kKeyBlock;

/// Tiles of queries that share a page of bytes once it is read: their sums stay in the cache.
constexpr Index kTilesAtOnce = 8;

/// Bytes of scratch for one attention task against pages, and against pages of bytes.
constexpr Index paged_scratch(Index head_dim) {
  return kBackwardTile * (kKeyBlock * 8 + head_dim * 4) + 4 * 64;
}
constexpr Index paged_bytes_scratch(Index head_dim) {
  return paged_scratch(head_dim) + kTilesAtOnce * kBackwardTile * head_dim * 4 +
         (page_key_words(head_dim, 4) + page_value_words(head_dim, 4)) * 4 +
         (kTilesAtOnce + 2) * 64;
}

/// Bytes of scratch for one attention task of up to n_keys keys.
constexpr Index attention_scratch(Index n_keys, Index head_dim, Index element_bytes) {
  const Index length = n_keys + kKeyBlock + kBackwardTile,
              wide = (head_dim + kPanel - 1) / kPanel * kPanel;
  return 5 * length * wide * element_bytes + 3 * length * wide * 4 + length * 4 +
         6 * kBackwardTile * (kKeyBlock + wide) * 4 + 16 * 64;
}

}  // namespace belay::ops::simd
