// MinHash: how much two texts have in common, from a few bytes of each. A text is the set of its
// runs of five words (data/words.h; all of its words where it has fewer). The likeness of two texts
// is the Jaccard similarity of their sets: common runs over all runs. For a random order of all
// runs the chance that both texts have the same first one is just that, so the share of
// kPermutations orders in which they agree estimates it, with a standard error of sqrt(J (1 - J) /
// kPermutations). Broder, "On the resemblance and containment of documents", 1997.
//
// To find pairs without comparing all, the orders are taken in bands of some rows each: texts that
// agree in all rows of one band meet there. Leskovec, Rajaraman, Ullman, "Mining of massive
// datasets", 3.4.
//
// Of each first run 8 bits are kept (Li, Koenig, "b-bit minwise hashing", 2010): two different ones
// agree by chance once in 256, which the estimate takes into account.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace belay::data {

inline constexpr int kPermutations = 128;
inline constexpr int kShingleWords = 5;

struct Bands {
  int count = 0, rows = 0;
};
/// The chance that two texts of this likeness meet in a band: 1 - (1 - likeness^rows)^count.
double chance_to_meet(Bands bands, double likeness);
/// As many rows a band as leave texts of likeness `threshold` a chance of 0.95 to meet.
Bands bands_for(double threshold);

using Digits = std::array<std::uint8_t, kPermutations>;

struct Sketch {
  Digits digits{};
  std::vector<std::uint32_t> bands;  // texts meet where these are equal; none: a text without words
};

/// The estimate, 0 to 1.
double likeness(std::span<const std::uint8_t, kPermutations> a,
                std::span<const std::uint8_t, kPermutations> b);

class MinHash {
 public:
  explicit MinHash(double threshold);
  Bands bands() const { return bands_; }
  Sketch sketch(std::string_view text) const;

 private:
  using Row = std::array<std::uint32_t, kPermutations>;
  void add(std::uint64_t shingle, Row& least) const;

  Bands bands_;
  Row factors_{}, offsets_{};  // an order is that of factor * x + offset modulo 2^32, factor odd
};

}  // namespace belay::data
