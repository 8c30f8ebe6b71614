// The lanes of ops/simd/vec.h as arrays: the twin that runs anywhere and says what each function
// computes.
#pragma once

#include "ops/simd/vec_base.h"

namespace belay::ops::simd::BELAY_ISA {

struct F32x16 {
  float v[16];
};
constexpr bool kInRegisters = false;  // a vector, and not an array in memory
struct Word16 {
  std::uint32_t v[16];
};

// Called, not inlined: arrays of sixteen unrolled into every loop take half a minute to compile.
#define BELAY_CALL [[maybe_unused]] static __attribute__((noinline))
#define BELAY_EACH for (int i = 0; i < 16; ++i)
BELAY_CALL F32x16 set1(float x) {
  F32x16 r;
  BELAY_EACH r.v[i] = x;
  return r;
}
BELAY_CALL F32x16 load(const float* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = p[i];
  return r;
}
BELAY_CALL void store(float* p, F32x16 x) { BELAY_EACH p[i] = x.v[i]; }
BELAY_CALL F32x16 load_n(const float* p, std::ptrdiff_t n) {
  F32x16 r;
  BELAY_EACH r.v[i] = i < n ? p[i] : 0.0f;
  return r;
}
BELAY_CALL void store_n(float* p, F32x16 x, std::ptrdiff_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = x.v[i];
}
BELAY_CALL F32x16 add(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] += b.v[i];
  return a;
}
BELAY_CALL F32x16 sub(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] -= b.v[i];
  return a;
}
BELAY_CALL F32x16 mul(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] *= b.v[i];
  return a;
}
BELAY_CALL F32x16 div(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] /= b.v[i];
  return a;
}
BELAY_CALL F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  BELAY_EACH c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return c;
}
BELAY_CALL F32x16 fnma(F32x16 a, F32x16 b, F32x16 c) {
  BELAY_EACH c.v[i] = __builtin_fmaf(-a.v[i], b.v[i], c.v[i]);
  return c;
}
BELAY_CALL F32x16 max(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
BELAY_CALL F32x16 min(F32x16 a, F32x16 b) {
  BELAY_EACH a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
BELAY_CALL F32x16 sqrt(F32x16 a) {
  BELAY_EACH a.v[i] = __builtin_sqrtf(a.v[i]);
  return a;
}
BELAY_CALL F32x16 round(F32x16 a) {
  BELAY_EACH a.v[i] = __builtin_rintf(a.v[i]);
  return a;
}
BELAY_CALL F32x16 scale2(F32x16 a, F32x16 n) {
  BELAY_EACH a.v[i] = bits_to_float(float_to_bits(a.v[i]) +
                                    (static_cast<std::uint32_t>(static_cast<int>(n.v[i])) << 23));
  return a;
}
BELAY_CALL F32x16 if_less(F32x16 x, F32x16 bound, F32x16 yes, F32x16 no) {
  BELAY_EACH no.v[i] = x.v[i] < bound.v[i] ? yes.v[i] : no.v[i];
  return no;
}
BELAY_CALL F32x16 keep_n(F32x16 v, F32x16 rest, std::ptrdiff_t n) {
  BELAY_EACH rest.v[i] = i < n ? v.v[i] : rest.v[i];
  return rest;
}
BELAY_CALL float reduce_add(F32x16 x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] += x.v[i + half];
  }
  return x.v[0];
}
BELAY_CALL float reduce_max(F32x16 x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] = x.v[i] > x.v[i + half] ? x.v[i] : x.v[i + half];
  }
  return x.v[0];
}
BELAY_CALL F32x16 load_b(const std::uint16_t* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = widen(p[i]);
  return r;
}
BELAY_CALL F32x16 load_b_n(const std::uint16_t* p, std::ptrdiff_t n) {
  F32x16 r;
  BELAY_EACH r.v[i] = i < n ? widen(p[i]) : 0.0f;
  return r;
}
BELAY_CALL void store_b(std::uint16_t* p, F32x16 x) { BELAY_EACH p[i] = narrow(x.v[i]); }
BELAY_CALL void store_b_n(std::uint16_t* p, F32x16 x, std::ptrdiff_t n) {
  for (int i = 0; i < 16 && i < n; ++i) p[i] = narrow(x.v[i]);
}
BELAY_CALL Word16 load_w(const std::uint32_t* p) {
  Word16 r;
  BELAY_EACH r.v[i] = p[i];
  return r;
}
BELAY_CALL Word16 load_w_n(const std::uint32_t* p, std::ptrdiff_t n) {
  Word16 r;
  BELAY_EACH r.v[i] = i < n ? p[i] : 0;
  return r;
}
BELAY_CALL void store_w(std::uint32_t* p, Word16 w) { BELAY_EACH p[i] = w.v[i]; }
/// The first eight words to p, the others to q.
BELAY_CALL void store_w_apart(std::uint32_t* p, std::uint32_t* q, Word16 w) {
  BELAY_EACH(i < 8 ? p[i] : q[i - 8]) = w.v[i];
}
BELAY_CALL Word16 set1_w(std::uint32_t x) {
  Word16 r;
  BELAY_EACH r.v[i] = x;
  return r;
}
BELAY_CALL F32x16 as_floats(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i]);
  return r;
}
BELAY_CALL Word16 as_words(F32x16 x) {
  Word16 r;
  BELAY_EACH r.v[i] = float_to_bits(x.v[i]);
  return r;
}
BELAY_CALL Word16 pair_words(F32x16 low, F32x16 high) {
  Word16 r;
  BELAY_EACH r.v[i] = narrow(low.v[i]) | (static_cast<std::uint32_t>(narrow(high.v[i])) << 16);
  return r;
}
BELAY_CALL Word16 pair_rows(const std::uint16_t* low, const std::uint16_t* high) {
  Word16 r;
  BELAY_EACH r.v[i] = low[i] | (static_cast<std::uint32_t>(high[i]) << 16);
  return r;
}
BELAY_CALL F32x16 low_halves(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i] << 16);
  return r;
}
BELAY_CALL F32x16 high_halves(Word16 w) {
  F32x16 r;
  BELAY_EACH r.v[i] = bits_to_float(w.v[i] & 0xffff0000u);
  return r;
}
#define BELAY_WORDS(name, expression)          \
  BELAY_CALL Word16 name(Word16 a, Word16 b) { \
    Word16 r;                                  \
    BELAY_EACH r.v[i] = expression;            \
    return r;                                  \
  }
BELAY_WORDS(and_w, a.v[i] & b.v[i])
BELAY_WORDS(xor_w, a.v[i] ^ b.v[i])
BELAY_WORDS(add_w, a.v[i] + b.v[i])
#undef BELAY_WORDS
BELAY_CALL Word16 shift_right4(Word16 a) {
  Word16 r;
  BELAY_EACH r.v[i] = a.v[i] >> 4;
  return r;
}
BELAY_CALL F32x16 to_floats(Word16 integers) {
  F32x16 r;
  BELAY_EACH r.v[i] = static_cast<float>(static_cast<std::int32_t>(integers.v[i]));
  return r;
}
BELAY_CALL std::int32_t byte_product(std::uint32_t u, std::uint32_t s, int byte) {
  return static_cast<std::int32_t>(u >> 8 * byte & 0xffu) *
         static_cast<std::int8_t>(s >> 8 * byte & 0xffu);
}
BELAY_CALL Word16 dot_bytes(Word16 acc, Word16 u, Word16 s) {
  Word16 r;
  BELAY_EACH {
    std::int32_t sum = 0;
    for (int byte = 0; byte < 4; ++byte) sum += byte_product(u.v[i], s.v[i], byte);
    r.v[i] = acc.v[i] + static_cast<std::uint32_t>(sum);
  }
  return r;
}
BELAY_CALL F32x16 load_h(const std::uint16_t* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = widen_half(p[i]);
  return r;
}
BELAY_CALL F32x16 load_bytes(const std::int8_t* p) {
  F32x16 r;
  BELAY_EACH r.v[i] = static_cast<float>(p[i]);
  return r;
}
BELAY_CALL void store_bytes(std::int8_t* p, F32x16 x) {
  BELAY_EACH p[i] = static_cast<std::int8_t>(x.v[i]);
}
#undef BELAY_EACH
#undef BELAY_CALL

}  // namespace belay::ops::simd::BELAY_ISA
