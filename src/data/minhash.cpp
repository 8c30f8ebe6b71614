#include "data/minhash.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "data/words.h"

namespace belay::data {
namespace {

constexpr double kLeastChance = 0.95;
constexpr double kByChance = 1.0 / 256;

}  // namespace

double chance_to_meet(Bands bands, double likeness) {
  return 1 - std::pow(1 - std::pow(likeness, bands.rows), bands.count);
}

Bands bands_for(double threshold) {
  Bands best{kPermutations, 1};
  for (int rows = 2; rows <= kPermutations; ++rows) {
    const Bands bands{kPermutations / rows, rows};
    if (chance_to_meet(bands, threshold) >= kLeastChance) best = bands;
  }
  return best;
}

double likeness(std::span<const std::uint8_t, kPermutations> a,
                std::span<const std::uint8_t, kPermutations> b) {
  int same = 0;
  for (std::size_t i = 0; i < kPermutations; ++i) same += a[i] == b[i] ? 1 : 0;
  return std::max(0.0, (static_cast<double>(same) / kPermutations - kByChance) / (1 - kByChance));
}

MinHash::MinHash(double threshold) : bands_(bands_for(threshold)) {
  const base::Rng rng(0, base::Purpose::kMinHash);
  for (std::size_t i = 0; i < kPermutations; ++i) {
    factors_[i] = rng.bits(2 * i) | 1;
    offsets_[i] = rng.bits(2 * i + 1);
  }
}

void MinHash::add(std::uint64_t shingle, Row& least) const {
  const auto x = static_cast<std::uint32_t>(hash_end(shingle) >> 32);
  for (std::size_t i = 0; i < kPermutations; ++i) {
    least[i] = std::min(least[i], factors_[i] * x + offsets_[i]);
  }
}

Sketch MinHash::sketch(std::string_view text) const {
  Row least;
  least.fill(~std::uint32_t{0});
  std::array<std::uint64_t, kShingleWords> words{};  // the last ones, in a ring
  std::size_t n_words = 0;
  const auto shingle = [&](std::size_t first, std::size_t n) {
    std::uint64_t hash = kWordSeed;
    for (std::size_t i = first; i < first + n; ++i) {
      hash = hash_step(hash, words[i % kShingleWords]);
    }
    return hash;
  };
  each_word(text, [&](std::uint64_t word) {
    words[n_words++ % kShingleWords] = word;
    if (n_words >= kShingleWords) add(shingle(n_words - kShingleWords, kShingleWords), least);
  });
  Sketch sketch;
  if (n_words == 0) return sketch;
  if (n_words < kShingleWords) add(shingle(0, n_words), least);
  for (std::size_t i = 0; i < kPermutations; ++i) {
    sketch.digits[i] = static_cast<std::uint8_t>((least[i] * 0x9E3779B1u) >> 24);
  }
  const auto rows = static_cast<std::size_t>(bands_.rows);
  for (std::size_t b = 0; b < static_cast<std::size_t>(bands_.count); ++b) {
    std::uint64_t hash = kWordSeed;
    for (std::size_t i = b * rows; i < (b + 1) * rows; ++i) hash = hash_step(hash, least[i]);
    sketch.bands.push_back(static_cast<std::uint32_t>(hash_end(hash) >> 32));
  }
  return sketch;
}

}  // namespace belay::data
