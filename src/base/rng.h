// Counter-based random numbers: a value is a pure function of (seed, purpose, step, index), so that
// no draw depends on how many were made before it, on threads, or on a resume. Philox4x32-10:
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace belay::base {

/// What a draw is for; part of the key, so that purposes never share a stream. Values are stable.
enum class Purpose : std::uint32_t {
  kInit = 1,
  kBatch = 2,
  kSample = 3,
  kTest = 4,
  kBench = 5,
  kBootstrap = 6,
  kFit = 7,  // starting points of a fit
  kMinHash = 16,
  kMixture = 17  // which documents make a fraction of an epoch
};

constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * counter[0];
    const std::uint64_t p1 = 0xCD9E8D57ull * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

class Rng {
 public:
  constexpr Rng(std::uint64_t seed, Purpose purpose, std::uint64_t step = 0)
      : seed_(seed), step_(step), purpose_(static_cast<std::uint32_t>(purpose)) {}

  /// 32 random bits of index i.
  constexpr std::uint32_t bits(std::uint64_t i) const {
    const auto block = draw(i / 4);
    return block[i % 4];
  }
  /// Uniform in [0, 1), 24 bits.
  constexpr float uniform(std::uint64_t i) const {
    return static_cast<float>(bits(i) >> 8) * 0x1p-24f;
  }
  /// Uniform in [0, 1), 53 bits; consumes index pairs (2i, 2i + 1) of bits().
  constexpr double uniform53(std::uint64_t i) const {
    const std::uint64_t hi = bits(2 * i) >> 5, lo = bits(2 * i + 1) >> 6;
    return static_cast<double>(hi * 67108864 + lo) * 0x1p-53;
  }
  /// Uniform integer in [0, n), n < 2^32.
  constexpr std::uint64_t below(std::uint64_t i, std::uint64_t n) const {
    return (static_cast<std::uint64_t>(bits(i)) * n) >> 32;
  }
  /// Standard normal (Box-Muller); the same bits wherever libm's double log, sin and cos are.
  float normal(std::uint64_t i) const;

 private:
  constexpr std::array<std::uint32_t, 4> draw(std::uint64_t block) const {
    return philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                       static_cast<std::uint32_t>(step_),
                       purpose_ ^ (static_cast<std::uint32_t>(step_ >> 32) << 8)},
                      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }
  std::uint64_t seed_, step_;
  std::uint32_t purpose_;
};

}  // namespace belay::base
