// The lanes of ops/simd/vec.h as one AVX-512 register.
#pragma once

#include <immintrin.h>

#include "ops/simd/vec_base.h"

namespace belay::ops::simd::BELAY_ISA {

using F32x16 = __m512;
constexpr bool kInRegisters = true;  // a vector, and not an array in memory

BELAY_INLINE F32x16 set1(float x) { return _mm512_set1_ps(x); }
BELAY_INLINE F32x16 load(const float* p) { return _mm512_loadu_ps(p); }
BELAY_INLINE void store(float* p, F32x16 v) { _mm512_storeu_ps(p, v); }
BELAY_INLINE __mmask16 first(std::ptrdiff_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u);
}
BELAY_INLINE F32x16 load_n(const float* p, std::ptrdiff_t n) {
  return _mm512_maskz_loadu_ps(first(n), p);
}
BELAY_INLINE void store_n(float* p, F32x16 v, std::ptrdiff_t n) {
  _mm512_mask_storeu_ps(p, first(n), v);
}
BELAY_INLINE F32x16 add(F32x16 a, F32x16 b) { return _mm512_add_ps(a, b); }
BELAY_INLINE F32x16 sub(F32x16 a, F32x16 b) { return _mm512_sub_ps(a, b); }
BELAY_INLINE F32x16 mul(F32x16 a, F32x16 b) { return _mm512_mul_ps(a, b); }
BELAY_INLINE F32x16 div(F32x16 a, F32x16 b) { return _mm512_div_ps(a, b); }
BELAY_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fmadd_ps(a, b, c); }
BELAY_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) { return _mm512_fnmadd_ps(a, b, c); }
BELAY_INLINE F32x16 max(F32x16 a, F32x16 b) { return _mm512_max_ps(a, b); }
BELAY_INLINE F32x16 min(F32x16 a, F32x16 b) { return _mm512_min_ps(a, b); }
BELAY_INLINE F32x16 sqrt(F32x16 a) { return _mm512_sqrt_ps(a); }
BELAY_INLINE F32x16 round(F32x16 a) {
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// a * 2^n for whole n that keep the result normal.
BELAY_INLINE F32x16 scale2(F32x16 a, F32x16 n) {
  return _mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23)));
}
/// Lane i: x[i] < bound ? yes[i] : no[i].
BELAY_INLINE F32x16 if_less(F32x16 x, F32x16 bound, F32x16 yes, F32x16 no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, bound, _CMP_LT_OQ), no, yes);
}
/// The first n lanes of v, the others from rest.
BELAY_INLINE F32x16 keep_n(F32x16 v, F32x16 rest, std::ptrdiff_t n) {
  return _mm512_mask_blend_ps(first(n), rest, v);
}
BELAY_INLINE float reduce_add(F32x16 v) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
BELAY_INLINE float reduce_max(F32x16 v) { return _mm512_reduce_max_ps(v); }
BELAY_INLINE F32x16 load_b(const std::uint16_t* p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
BELAY_INLINE F32x16 load_b_n(const std::uint16_t* p, std::ptrdiff_t n) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), p)), 16));
}
BELAY_INLINE __m256i narrow16(F32x16 v) {
#if defined(__AVX512BF16__)
  return (__m256i)_mm512_cvtneps_pbh(v);
#else
  const __m512i u = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
#endif
}
BELAY_INLINE void store_b(std::uint16_t* p, F32x16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow16(v));
}
BELAY_INLINE void store_b_n(std::uint16_t* p, F32x16 v, std::ptrdiff_t n) {
  _mm256_mask_storeu_epi16(p, first(n), narrow16(v));
}

/// Sixteen 32-bit words: a float each, or a pair of bf16 (low half first).
using Word16 = __m512i;
BELAY_INLINE Word16 load_w(const std::uint32_t* p) { return _mm512_loadu_si512(p); }
BELAY_INLINE Word16 load_w_n(const std::uint32_t* p, std::ptrdiff_t n) {
  return _mm512_maskz_loadu_epi32(first(n), p);
}
BELAY_INLINE void store_w(std::uint32_t* p, Word16 v) { _mm512_storeu_si512(p, v); }
/// The first eight words to p, the others to q.
BELAY_INLINE void store_w_apart(std::uint32_t* p, std::uint32_t* q, Word16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256(v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_extracti64x4_epi64(v, 1));
}
BELAY_INLINE Word16 set1_w(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
BELAY_INLINE F32x16 as_floats(Word16 w) { return _mm512_castsi512_ps(w); }
BELAY_INLINE Word16 as_words(F32x16 v) { return _mm512_castps_si512(v); }
/// Lane i: bf16 pair (low[i], high[i]) from two rows of floats, rounded to nearest even.
BELAY_INLINE Word16 pair_words(F32x16 low, F32x16 high) {
#if defined(__AVX512BF16__)
  alignas(64) static constexpr std::uint16_t kPairs[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto halves = (__m512i)_mm512_cvtne2ps_pbh(high, low);  // all of low, then all of high
  return _mm512_permutexvar_epi16(_mm512_load_si512(kPairs), halves);
#else
  return _mm512_or_si512(_mm512_cvtepu16_epi32(narrow16(low)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow16(high)), 16));
#endif
}
/// Lane i: (low[i], high[i]) of two rows of sixteen bf16.
BELAY_INLINE Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high));
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}
/// Thirty-two floats as bf16, in order, rounded to nearest even.
BELAY_INLINE Word16 narrow_words(F32x16 first, F32x16 second) {
#if defined(__AVX512BF16__)
  return (__m512i)_mm512_cvtne2ps_pbh(second, first);
#else
  return _mm512_inserti64x4(_mm512_castsi256_si512(narrow16(first)), narrow16(second), 1);
#endif
}
BELAY_INLINE F32x16 low_halves(Word16 w) { return as_floats(_mm512_slli_epi32(w, 16)); }
BELAY_INLINE F32x16 high_halves(Word16 w) {
  return as_floats(_mm512_and_si512(w, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

/// Words as four bytes or as integers: bits, sums, and products of bytes, all exact.
BELAY_INLINE Word16 and_w(Word16 a, Word16 b) { return _mm512_and_si512(a, b); }
BELAY_INLINE Word16 xor_w(Word16 a, Word16 b) { return _mm512_xor_si512(a, b); }
BELAY_INLINE Word16 add_w(Word16 a, Word16 b) { return _mm512_add_epi32(a, b); }
BELAY_INLINE Word16 shift_right4(Word16 a) { return _mm512_srli_epi32(a, 4); }
BELAY_INLINE F32x16 to_floats(Word16 integers) { return _mm512_cvtepi32_ps(integers); }
/// Lane i: acc[i] + the sum over its four bytes of u (unsigned) times s (signed).
BELAY_INLINE Word16 dot_bytes(Word16 acc, Word16 u, Word16 s) {
#if defined(__AVX512VNNI__)
  return _mm512_dpbusd_epi32(acc, u, s);
#else
  const __m512i even = _mm512_madd_epi16(_mm512_and_si512(u, _mm512_set1_epi16(0xff)),
                                         _mm512_srai_epi16(_mm512_slli_epi16(s, 8), 8));
  const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(u, 8), _mm512_srai_epi16(s, 8));
  return _mm512_add_epi32(acc, _mm512_add_epi32(even, odd));
#endif
}
/// Sixteen numbers in half precision.
BELAY_INLINE F32x16 load_h(const std::uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
/// Sixteen signed bytes.
BELAY_INLINE F32x16 load_bytes(const std::int8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
/// Whole numbers from -128 to 127, as bytes.
BELAY_INLINE void store_bytes(std::int8_t* p, F32x16 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

}  // namespace belay::ops::simd::BELAY_ISA
