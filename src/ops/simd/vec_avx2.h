// The lanes of ops/simd/vec.h as two AVX2 registers.
#pragma once

#include <immintrin.h>

#include "ops/simd/vec_base.h"

namespace belay::ops::simd::BELAY_ISA {

struct F32x16 {
  __m256 a, b;
};
constexpr bool kInRegisters = true;  // a vector, and not an array in memory
struct Word16 {
  __m256i a, b;
};

BELAY_INLINE F32x16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
BELAY_INLINE F32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
BELAY_INLINE void store(float* p, F32x16 v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
BELAY_INLINE __m256i first8(std::ptrdiff_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const int m = n > 8 ? 8 : n < 0 ? 0 : static_cast<int>(n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(m), index);
}
BELAY_INLINE F32x16 load_n(const float* p, std::ptrdiff_t n) {
  return {_mm256_maskload_ps(p, first8(n)),
          n > 8 ? _mm256_maskload_ps(p + 8, first8(n - 8)) : _mm256_setzero_ps()};
}
BELAY_INLINE void store_n(float* p, F32x16 v, std::ptrdiff_t n) {
  _mm256_maskstore_ps(p, first8(n), v.a);
  if (n > 8) _mm256_maskstore_ps(p + 8, first8(n - 8), v.b);
}
#define BELAY_PAIRWISE(name, op) \
  BELAY_INLINE F32x16 name(F32x16 x, F32x16 y) { return {op(x.a, y.a), op(x.b, y.b)}; }
BELAY_PAIRWISE(add, _mm256_add_ps)
BELAY_PAIRWISE(sub, _mm256_sub_ps)
BELAY_PAIRWISE(mul, _mm256_mul_ps)
BELAY_PAIRWISE(div, _mm256_div_ps)
BELAY_PAIRWISE(max, _mm256_max_ps)
BELAY_PAIRWISE(min, _mm256_min_ps)
#undef BELAY_PAIRWISE
BELAY_INLINE F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
BELAY_INLINE F32x16 fnma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
BELAY_INLINE F32x16 sqrt(F32x16 x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
BELAY_INLINE F32x16 round(F32x16 x) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}
BELAY_INLINE __m256 scale2_8(__m256 a, __m256 n) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}
BELAY_INLINE F32x16 scale2(F32x16 x, F32x16 n) { return {scale2_8(x.a, n.a), scale2_8(x.b, n.b)}; }
BELAY_INLINE F32x16 if_less(F32x16 x, F32x16 bound, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.a, yes.a, _mm256_cmp_ps(x.a, bound.a, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.b, yes.b, _mm256_cmp_ps(x.b, bound.b, _CMP_LT_OQ))};
}
BELAY_INLINE F32x16 keep_n(F32x16 v, F32x16 rest, std::ptrdiff_t n) {
  return {_mm256_blendv_ps(rest.a, v.a, _mm256_castsi256_ps(first8(n))),
          _mm256_blendv_ps(rest.b, v.b, _mm256_castsi256_ps(first8(n - 8)))};
}
BELAY_INLINE float reduce_add(F32x16 v) {
  const __m256 a = _mm256_add_ps(v.a, v.b);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
BELAY_INLINE float reduce_max(F32x16 v) {
  const __m256 a = _mm256_max_ps(v.a, v.b);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_shuffle_ps(c, c, 1)));
}
BELAY_INLINE __m256i widen8(__m128i v) { return _mm256_cvtepu16_epi32(v); }
BELAY_INLINE Word16 halves(const std::uint16_t* p) {
  return {widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
BELAY_INLINE F32x16 load_b(const std::uint16_t* p) {
  const Word16 w = halves(p);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(w.a, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(w.b, 16))};
}
BELAY_INLINE F32x16 load_b_n(const std::uint16_t* p, std::ptrdiff_t n) {
  std::uint16_t all[16] = {};
  for (std::ptrdiff_t i = 0; i < n && i < 16; ++i) all[i] = p[i];
  return load_b(all);
}
/// bf16 of eight floats, in the low half of each word.
BELAY_INLINE __m256i narrow8(__m256 v) {
  const __m256i u = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  const __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
  return _mm256_srli_epi32(_mm256_blendv_epi8(r, quiet, _mm256_castps_si256(nan)), 16);
}
BELAY_INLINE void store_b(std::uint16_t* p, F32x16 v) {
  const __m256i packed = _mm256_packus_epi32(narrow8(v.a), narrow8(v.b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}
BELAY_INLINE void store_b_n(std::uint16_t* p, F32x16 v, std::ptrdiff_t n) {
  std::uint16_t all[16];
  store_b(all, v);
  for (std::ptrdiff_t i = 0; i < n && i < 16; ++i) p[i] = all[i];
}
BELAY_INLINE Word16 load_w(const std::uint32_t* p) {
  const auto* q = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(q), _mm256_loadu_si256(q + 1)};
}
BELAY_INLINE F32x16 as_floats(Word16 w) {
  return {_mm256_castsi256_ps(w.a), _mm256_castsi256_ps(w.b)};
}
BELAY_INLINE Word16 as_words(F32x16 v) {
  return {_mm256_castps_si256(v.a), _mm256_castps_si256(v.b)};
}
BELAY_INLINE Word16 load_w_n(const std::uint32_t* p, std::ptrdiff_t n) {
  return as_words(load_n(reinterpret_cast<const float*>(p), n));
}
BELAY_INLINE void store_w(std::uint32_t* p, Word16 w) {
  auto* q = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(q, w.a);
  _mm256_storeu_si256(q + 1, w.b);
}
/// The first eight words to p, the others to q.
BELAY_INLINE void store_w_apart(std::uint32_t* p, std::uint32_t* q, Word16 w) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), w.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), w.b);
}
BELAY_INLINE Word16 set1_w(std::uint32_t x) {
  const __m256i v = _mm256_set1_epi32(static_cast<int>(x));
  return {v, v};
}
BELAY_INLINE Word16 pair_words(F32x16 low, F32x16 high) {
  return {_mm256_or_si256(narrow8(low.a), _mm256_slli_epi32(narrow8(high.a), 16)),
          _mm256_or_si256(narrow8(low.b), _mm256_slli_epi32(narrow8(high.b), 16))};
}
BELAY_INLINE Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  const Word16 a = halves(low), b = halves(high);
  return {_mm256_or_si256(a.a, _mm256_slli_epi32(b.a, 16)),
          _mm256_or_si256(a.b, _mm256_slli_epi32(b.b, 16))};
}
BELAY_INLINE F32x16 low_halves(Word16 w) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(w.a, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(w.b, 16))};
}
BELAY_INLINE F32x16 high_halves(Word16 w) {
  const __m256i m = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(w.a, m)),
          _mm256_castsi256_ps(_mm256_and_si256(w.b, m))};
}

#define BELAY_PAIRWISE(name, op) \
  BELAY_INLINE Word16 name(Word16 x, Word16 y) { return {op(x.a, y.a), op(x.b, y.b)}; }
BELAY_PAIRWISE(and_w, _mm256_and_si256)
BELAY_PAIRWISE(xor_w, _mm256_xor_si256)
BELAY_PAIRWISE(add_w, _mm256_add_epi32)
#undef BELAY_PAIRWISE
BELAY_INLINE Word16 shift_right4(Word16 x) {
  return {_mm256_srli_epi32(x.a, 4), _mm256_srli_epi32(x.b, 4)};
}
BELAY_INLINE F32x16 to_floats(Word16 x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
/// Bytes at even and at odd places apart, widened to 16 bits, where no sum of two products
/// saturates.
BELAY_INLINE __m256i dot_bytes8(__m256i acc, __m256i u, __m256i s) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(0xff)),
                                         _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
  return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}
BELAY_INLINE Word16 dot_bytes(Word16 acc, Word16 u, Word16 s) {
  return {dot_bytes8(acc.a, u.a, s.a), dot_bytes8(acc.b, u.b, s.b)};
}
BELAY_INLINE F32x16 load_h(const std::uint16_t* p) {
  const auto* q = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(q)), _mm256_cvtph_ps(_mm_loadu_si128(q + 1))};
}
BELAY_INLINE F32x16 load_bytes(const std::int8_t* p) {
  const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(both)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(both, both)))};
}
BELAY_INLINE void store_bytes(std::int8_t* p, F32x16 v) {
  const __m256i a = _mm256_cvtps_epi32(v.a), b = _mm256_cvtps_epi32(v.b);
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(low, high));
}

}  // namespace belay::ops::simd::BELAY_ISA
