// The lanes of ops/simd/vec.h as four NEON registers. max, min and if_less compare and select,
// because vmaxq and vminq treat NaN and the sign of zero otherwise than the other instruction sets.
#pragma once

#include <arm_neon.h>

#include "ops/simd/vec_base.h"

namespace belay::ops::simd::BELAY_ISA {

struct F32x16 {
  float32x4_t v[4];
};
constexpr bool kInRegisters = true;  // a vector, and not an array in memory
/// Sixteen 32-bit words: a float each, or a pair of bf16 (low half first).
struct Word16 {
  uint32x4_t v[4];
};

/// Four results in order, one a register; i is the register.
#define BELAY_FOUR(expression)                                      \
  const auto four = [&](int i) BELAY_LAMBDA { return expression; }; \
  return {                                                          \
    { four(0), four(1), four(2), four(3) }                          \
  }

BELAY_INLINE F32x16 set1(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {{v, v, v, v}};
}
BELAY_INLINE F32x16 load(const float* p) { BELAY_FOUR(vld1q_f32(p + 4 * i)); }
BELAY_INLINE void store(float* p, F32x16 x) {
  vst1q_f32(p, x.v[0]);
  vst1q_f32(p + 4, x.v[1]);
  vst1q_f32(p + 8, x.v[2]);
  vst1q_f32(p + 12, x.v[3]);
}
BELAY_INLINE F32x16 load_n(const float* p, std::ptrdiff_t n) {
  if (n >= 16) return load(p);
  float all[16] = {};
  for (std::ptrdiff_t i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
}
BELAY_INLINE void store_n(float* p, F32x16 x, std::ptrdiff_t n) {
  if (n >= 16) return store(p, x);
  float all[16];
  store(all, x);
  for (std::ptrdiff_t i = 0; i < n; ++i) p[i] = all[i];
}

#define BELAY_BINARY(name, op) \
  BELAY_INLINE F32x16 name(F32x16 x, F32x16 y) { BELAY_FOUR(op(x.v[i], y.v[i])); }
BELAY_BINARY(add, vaddq_f32)
BELAY_BINARY(sub, vsubq_f32)
BELAY_BINARY(mul, vmulq_f32)
BELAY_BINARY(div, vdivq_f32)
#undef BELAY_BINARY

BELAY_INLINE float32x4_t max4(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
BELAY_INLINE float32x4_t min4(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
BELAY_INLINE F32x16 max(F32x16 x, F32x16 y) { BELAY_FOUR(max4(x.v[i], y.v[i])); }
BELAY_INLINE F32x16 min(F32x16 x, F32x16 y) { BELAY_FOUR(min4(x.v[i], y.v[i])); }
BELAY_INLINE F32x16 fma(F32x16 x, F32x16 y, F32x16 z) {
  BELAY_FOUR(vfmaq_f32(z.v[i], x.v[i], y.v[i]));
}
BELAY_INLINE F32x16 fnma(F32x16 x, F32x16 y, F32x16 z) {
  BELAY_FOUR(vfmsq_f32(z.v[i], x.v[i], y.v[i]));
}
BELAY_INLINE F32x16 sqrt(F32x16 x) { BELAY_FOUR(vsqrtq_f32(x.v[i])); }
BELAY_INLINE F32x16 round(F32x16 x) { BELAY_FOUR(vrndnq_f32(x.v[i])); }

BELAY_INLINE float32x4_t as_floats4(uint32x4_t w) { return vreinterpretq_f32_u32(w); }
BELAY_INLINE uint32x4_t as_words4(float32x4_t v) { return vreinterpretq_u32_f32(v); }
/// a * 2^n for whole n that keep the result normal.
BELAY_INLINE F32x16 scale2(F32x16 x, F32x16 n) {
  BELAY_FOUR(as_floats4(
      vaddq_u32(as_words4(x.v[i]), vshlq_n_u32(vreinterpretq_u32_s32(vcvtq_s32_f32(n.v[i])), 23))));
}
/// Lane i: x[i] < bound ? yes[i] : no[i].
BELAY_INLINE F32x16 if_less(F32x16 x, F32x16 bound, F32x16 yes, F32x16 no) {
  BELAY_FOUR(vbslq_f32(vcltq_f32(x.v[i], bound.v[i]), yes.v[i], no.v[i]));
}
/// All ones in those of lanes 4 i to 4 i + 3 that are below n.
BELAY_INLINE uint32x4_t below(std::ptrdiff_t n, int i) {
  constexpr std::int32_t kIndex[4] = {0, 1, 2, 3};
  const std::ptrdiff_t m = n < 0 ? 0 : n > 16 ? 16 : n;
  return vcltq_s32(vld1q_s32(kIndex), vdupq_n_s32(static_cast<std::int32_t>(m) - 4 * i));
}
/// The first n lanes of x, the others from rest.
BELAY_INLINE F32x16 keep_n(F32x16 x, F32x16 rest, std::ptrdiff_t n) {
  BELAY_FOUR(vbslq_f32(below(n, i), x.v[i], rest.v[i]));
}
BELAY_INLINE float reduce_add(F32x16 x) {
  const float32x4_t a = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
  const float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}
BELAY_INLINE float reduce_max(F32x16 x) {
  const float32x4_t a = max4(max4(x.v[0], x.v[2]), max4(x.v[1], x.v[3]));
  const float32x4_t b = max4(a, vextq_f32(a, a, 2));
  return vgetq_lane_f32(max4(b, vextq_f32(b, b, 1)), 0);
}

/// Four bf16, each in the high half of a word.
BELAY_INLINE uint32x4_t high4(const std::uint16_t* p) {
  return vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16);
}
BELAY_INLINE F32x16 load_b(const std::uint16_t* p) { BELAY_FOUR(as_floats4(high4(p + 4 * i))); }
BELAY_INLINE F32x16 load_b_n(const std::uint16_t* p, std::ptrdiff_t n) {
  if (n >= 16) return load_b(p);
  std::uint16_t all[16] = {};
  for (std::ptrdiff_t i = 0; i < n; ++i) all[i] = p[i];
  return load_b(all);
}
/// bf16 of four floats, in the high half of each word; the low half is noise.
BELAY_INLINE uint32x4_t narrow4(float32x4_t x) {
  const uint32x4_t u = as_words4(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
  const uint32x4_t r = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  return vbslq_u32(vceqq_f32(x, x), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
}
BELAY_INLINE void store_b(std::uint16_t* p, F32x16 x) {
  vst1_u16(p, vshrn_n_u32(narrow4(x.v[0]), 16));
  vst1_u16(p + 4, vshrn_n_u32(narrow4(x.v[1]), 16));
  vst1_u16(p + 8, vshrn_n_u32(narrow4(x.v[2]), 16));
  vst1_u16(p + 12, vshrn_n_u32(narrow4(x.v[3]), 16));
}
BELAY_INLINE void store_b_n(std::uint16_t* p, F32x16 x, std::ptrdiff_t n) {
  if (n >= 16) return store_b(p, x);
  std::uint16_t all[16];
  store_b(all, x);
  for (std::ptrdiff_t i = 0; i < n; ++i) p[i] = all[i];
}

BELAY_INLINE Word16 load_w(const std::uint32_t* p) { BELAY_FOUR(vld1q_u32(p + 4 * i)); }
BELAY_INLINE Word16 load_w_n(const std::uint32_t* p, std::ptrdiff_t n) {
  if (n >= 16) return load_w(p);
  std::uint32_t all[16] = {};
  for (std::ptrdiff_t i = 0; i < n; ++i) all[i] = p[i];
  return load_w(all);
}
BELAY_INLINE void store_w(std::uint32_t* p, Word16 w) {
  vst1q_u32(p, w.v[0]);
  vst1q_u32(p + 4, w.v[1]);
  vst1q_u32(p + 8, w.v[2]);
  vst1q_u32(p + 12, w.v[3]);
}
/// The first eight words to p, the others to q.
BELAY_INLINE void store_w_apart(std::uint32_t* p, std::uint32_t* q, Word16 w) {
  vst1q_u32(p, w.v[0]);
  vst1q_u32(p + 4, w.v[1]);
  vst1q_u32(q, w.v[2]);
  vst1q_u32(q + 4, w.v[3]);
}
BELAY_INLINE Word16 set1_w(std::uint32_t x) {
  const uint32x4_t v = vdupq_n_u32(x);
  return {{v, v, v, v}};
}
BELAY_INLINE F32x16 as_floats(Word16 w) { BELAY_FOUR(as_floats4(w.v[i])); }
BELAY_INLINE Word16 as_words(F32x16 x) { BELAY_FOUR(as_words4(x.v[i])); }
/// Lane i: bf16 pair (low[i], high[i]) from two rows of floats, rounded to nearest even.
BELAY_INLINE Word16 pair_words(F32x16 low, F32x16 high) {
  BELAY_FOUR(vsriq_n_u32(narrow4(high.v[i]), narrow4(low.v[i]), 16));
}
/// Lane i: (low[i], high[i]) of two rows of sixteen bf16.
BELAY_INLINE Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  BELAY_FOUR(vorrq_u32(vmovl_u16(vld1_u16(low + 4 * i)), high4(high + 4 * i)));
}
BELAY_INLINE F32x16 low_halves(Word16 w) { BELAY_FOUR(as_floats4(vshlq_n_u32(w.v[i], 16))); }
BELAY_INLINE F32x16 high_halves(Word16 w) {
  BELAY_FOUR(as_floats4(vandq_u32(w.v[i], vdupq_n_u32(0xffff0000u))));
}

BELAY_INLINE Word16 and_w(Word16 x, Word16 y) { BELAY_FOUR(vandq_u32(x.v[i], y.v[i])); }
BELAY_INLINE Word16 xor_w(Word16 x, Word16 y) { BELAY_FOUR(veorq_u32(x.v[i], y.v[i])); }
BELAY_INLINE Word16 add_w(Word16 x, Word16 y) { BELAY_FOUR(vaddq_u32(x.v[i], y.v[i])); }
BELAY_INLINE Word16 shift_right4(Word16 x) { BELAY_FOUR(vshrq_n_u32(x.v[i], 4)); }
BELAY_INLINE F32x16 to_floats(Word16 x) {
  BELAY_FOUR(vcvtq_f32_s32(vreinterpretq_s32_u32(x.v[i])));
}
/// Sums of two neighbouring products each, of eight bytes.
BELAY_INLINE int32x4_t pair_products(uint8x8_t u, int8x8_t s) {
  const int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(u)), b = vmovl_s8(s);
  return vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)),
                    vmull_s16(vget_high_s16(a), vget_high_s16(b)));
}
BELAY_INLINE uint32x4_t dot_bytes4(uint32x4_t acc, uint32x4_t u, uint32x4_t s) {
  const uint8x16_t a = vreinterpretq_u8_u32(u);
  const int8x16_t b = vreinterpretq_s8_u32(s);
  const int32x4_t sum = vpaddq_s32(pair_products(vget_low_u8(a), vget_low_s8(b)),
                                   pair_products(vget_high_u8(a), vget_high_s8(b)));
  return vaddq_u32(acc, vreinterpretq_u32_s32(sum));
}
BELAY_INLINE Word16 dot_bytes(Word16 acc, Word16 u, Word16 s) {
  BELAY_FOUR(dot_bytes4(acc.v[i], u.v[i], s.v[i]));
}
BELAY_INLINE F32x16 load_h(const std::uint16_t* p) {
  BELAY_FOUR(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
BELAY_INLINE F32x16 load_bytes(const std::int8_t* p) {
  const int16x8_t low = vmovl_s8(vld1_s8(p)), high = vmovl_s8(vld1_s8(p + 8));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
          vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}
BELAY_INLINE void store_bytes(std::int8_t* p, F32x16 x) {
  const auto two = [&](int i) BELAY_LAMBDA {
    return vmovn_s16(
        vcombine_s16(vmovn_s32(vcvtq_s32_f32(x.v[i])), vmovn_s32(vcvtq_s32_f32(x.v[i + 1]))));
  };
  vst1_s8(p, two(0));
  vst1_s8(p + 8, two(2));
}
#undef BELAY_FOUR

}  // namespace belay::ops::simd::BELAY_ISA
