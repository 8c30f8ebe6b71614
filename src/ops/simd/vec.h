// Sixteen float lanes on every instruction set: one zmm, two ymm, four NEON registers or an array.
// The number of lanes and the order of every reduction are part of the specification
// (docs/exactness.md), so a loop written with these gives the same bits on each of them. fma() is a
// fused multiply-add everywhere.
//
// This header is included only by sources that are compiled once for each instruction set, with
// BELAY_ISA naming it; all code lives in that namespace. No standard library here: an inline
// function compiled for AVX-512 must never be the one that the linker keeps for everybody.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define BELAY_INLINE inline __attribute__((always_inline))
#define BELAY_LAMBDA __attribute__((always_inline))

namespace belay::ops::simd::BELAY_ISA {

constexpr std::ptrdiff_t kLanes = 16;

BELAY_INLINE float bits_to_float(std::uint32_t u) { return __builtin_bit_cast(float, u); }
BELAY_INLINE std::uint32_t float_to_bits(float f) { return __builtin_bit_cast(std::uint32_t, f); }
BELAY_INLINE float widen(std::uint16_t b) {
  return bits_to_float(static_cast<std::uint32_t>(b) << 16);
}
BELAY_INLINE std::uint16_t narrow(float f) {
  const std::uint32_t u = float_to_bits(f);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((u >> 16) | 0x40u);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// ---------------------------------------------------------------------------------------------------
#if defined(__AVX512F__)

using F32x16 = __m512;

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
BELAY_INLINE Word16 set1_w(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
BELAY_INLINE F32x16 as_floats(Word16 w) { return _mm512_castsi512_ps(w); }
BELAY_INLINE Word16 as_words(F32x16 v) { return _mm512_castps_si512(v); }
/// Lane i: bf16 pair (low[i], high[i]) from two rows of floats, rounded to nearest even.
BELAY_INLINE Word16 pair_words(F32x16 low, F32x16 high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(narrow16(low)),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow16(high)), 16));
}
/// Lane i: (low[i], high[i]) of two rows of sixteen bf16.
BELAY_INLINE Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(low));
  const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(high));
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}
BELAY_INLINE F32x16 low_halves(Word16 w) { return as_floats(_mm512_slli_epi32(w, 16)); }
BELAY_INLINE F32x16 high_halves(Word16 w) {
  return as_floats(_mm512_and_si512(w, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

// ---------------------------------------------------------------------------------------------------
#elif defined(__AVX2__)

struct F32x16 {
  __m256 a, b;
};
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

// ---------------------------------------------------------------------------------------------------
#else  // arrays: the scalar twin, which GCC turns into NEON where BELAY_ISA is neon

struct F32x16 {
  float v[16];
};
struct Word16 {
  std::uint32_t v[16];
};

#define BELAY_EACH for (int i = 0; i < 16; ++i)
BELAY_INLINE F32x16 set1(float x) {
  F32x16 r;
  BELAY_EACH r.v[i] = x;
  return r;
}
BELAY_INLINE F32x16 load(const float* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = p[i];
  return r;
}
BELAY_INLINE void store(float* p, F32x16 x) { BELAY_EACH p[i] = x.v[i]; }
BELAY_INLINE F32x16 load_n(const float* p, std::ptrdiff_t n) {
  F32x16 r;
  BELAY_EACH r.v[i] = i < n ? p[i] : 0.0f;
  return r;
}
BELAY_INLINE void store_n(float* p, F32x16 x, std::ptrdiff_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = x.v[i];
}
BELAY_INLINE F32x16 add(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] += b.v[i];
  return a;
}
BELAY_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] -= b.v[i];
  return a;
}
BELAY_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] *= b.v[i];
  return a;
}
BELAY_INLINE F32x16 div(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] /= b.v[i];
  return a;
}
BELAY_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  BELAY_EACH c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
BELAY_INLINE F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {
  BELAY_EACH c.v[i] = __builtin_fmaf(-a.v[i], b.v[i], c.v[i]);
  return c;
}
BELAY_INLINE F32x16 max(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
BELAY_INLINE F32x16 min(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
BELAY_INLINE F32x16 sqrt(F32x16 a) {
  BELAY_EACH a.v[i] = __builtin_sqrtf(a.v[i]);
  return a;
}
BELAY_INLINE F32x16 round(F32x16 a) {
  BELAY_EACH a.v[i] = __builtin_rintf(a.v[i]);
  return a;
}
BELAY_INLINE F32x16 scale2(F32x16 a, F32x16 n) {
  BELAY_EACH a.v[i] = bits_to_float(float_to_bits(a.v[i]) +
                                    (static_cast<std::uint32_t>(static_cast<int>(n.v[i])) << 23));
  return a;
}
BELAY_INLINE F32x16 if_less(F32x16 x, F32x16 bound, F32x16 yes, F32x16 no) {
  BELAY_EACH no.v[i] = x.v[i] < bound.v[i] ? yes.v[i] : no.v[i];
  return no;
}
BELAY_INLINE F32x16 keep_n(F32x16 v, F32x16 rest, std::ptrdiff_t n) {
  BELAY_EACH rest.v[i] = i < n ? v.v[i] : rest.v[i];
  return rest;
}
BELAY_INLINE float reduce_add(F32x16 x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] += x.v[i + half];
  }
  return x.v[0];
}
BELAY_INLINE float reduce_max(F32x16 x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] = x.v[i] > x.v[i + half] ? x.v[i] : x.v[i + half];
  }
  return x.v[0];
}
BELAY_INLINE F32x16 load_b(const std::uint16_t* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = widen(p[i]);
  return r;
}
BELAY_INLINE F32x16 load_b_n(const std::uint16_t* p, std::ptrdiff_t n) {
  F32x16 r;
  BELAY_EACH r.v[i] = i < n ? widen(p[i]) : 0.0f;
  return r;
}
BELAY_INLINE void store_b(std::uint16_t* p, F32x16 x) { BELAY_EACH p[i] = narrow(x.v[i]); }
BELAY_INLINE void store_b_n(std::uint16_t* p, F32x16 x, std::ptrdiff_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = narrow(x.v[i]);
}
BELAY_INLINE Word16 load_w(const std::uint32_t* p) {
  Word16 r;
  BELAY_EACH r.v[i] = p[i];
  return r;
}
BELAY_INLINE Word16 load_w_n(const std::uint32_t* p, std::ptrdiff_t n) {
  Word16 r;
  BELAY_EACH r.v[i] = i < n ? p[i] : 0;
  return r;
}
BELAY_INLINE void store_w(std::uint32_t* p, Word16 w) { BELAY_EACH p[i] = w.v[i]; }
BELAY_INLINE Word16 set1_w(std::uint32_t x) {
  Word16 r;
  BELAY_EACH r.v[i] = x;
  return r;
}
BELAY_INLINE F32x16 as_floats(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i]);
  return r;
}
BELAY_INLINE Word16 as_words(F32x16 x) {
  Word16 r;
  BELAY_EACH r.v[i] = float_to_bits(x.v[i]);
  return r;
}
BELAY_INLINE Word16 pair_words(F32x16 low, F32x16 high) {
  Word16 r;
  BELAY_EACH r.v[i] = narrow(low.v[i]) | (static_cast<std::uint32_t>(narrow(high.v[i])) << 16);
  return r;
}
BELAY_INLINE Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  Word16 r;
  BELAY_EACH r.v[i] = low[i] | (static_cast<std::uint32_t>(high[i]) << 16);
  return r;
}
BELAY_INLINE F32x16 low_halves(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i] << 16);
  return r;
}
BELAY_INLINE F32x16 high_halves(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i] & 0xffff0000u);
  return r;
}
#undef BELAY_EACH
#endif
// ---------------------------------------------------------------------------------------------------

/// acc + a.odd * b.odd, then + a.even * b.even, each fused: what vdpbf16ps computes for normal
/// numbers.
BELAY_INLINE F32x16 dot_pairs(F32x16 acc, Word16 a, Word16 b) {
#if defined(__AVX512BF16__)
  return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b);
#else
  acc = fma(high_halves(a), high_halves(b), acc);
  return fma(low_halves(a), low_halves(b), acc);
#endif
}

/// e^x to about 1 ulp; 0 below -87 (and for -inf), saturates above 88, NaN stays NaN (the second
/// operand of min and max is what a NaN passes through).
BELAY_INLINE F32x16 exp(F32x16 x) {
  const F32x16 inside = max(set1(-87.0f), min(set1(88.0f), x));
  const F32x16 n = round(mul(inside, set1(1.44269504f)));
  const F32x16 r = fnma(n, set1(-2.12194440e-4f), fnma(n, set1(0.693359375f), inside));
  F32x16 p = fma(set1(1.9875691500e-4f), r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = fma(p, mul(r, r), add(r, set1(1.0f)));
  return if_less(x, set1(-87.0f), set1(0.0f), scale2(p, n));
}

}  // namespace belay::ops::simd::BELAY_ISA
