// The simplest model that a trained one must beat: a byte given the byte before it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace belay::data {

/// A bigram of bytes, counted on one text and scored on another, with Witten-Bell smoothing:
///   P(b) = (n(b) + 1) / (N + 256)
///   P(b | a) = (n(ab) + k(a) P(b)) / (n(a) + k(a)), k(a) = max(1, number of kinds of byte after a)
/// where n counts in the first text and N is its length; the first byte of the second is scored by
/// P(b). Texts come in pieces and are not kept: it takes half a megabyte.
/// Witten, Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991).
class Bigram {
 public:
  Bigram();
  /// A piece that goes on where the last counted one ended.
  void count(std::string_view piece);
  /// The same for the text that is scored, after all is counted.
  void score(std::string_view piece);
  /// Of what was scored; 0 when that is nothing, 8 when nothing was counted.
  double bits_per_byte() const;

 private:
  double bits(std::optional<std::uint8_t> before, std::uint8_t byte) const;

  std::vector<std::int64_t> pairs_;  // [first byte, second byte]
  std::array<double, 256> singles_{}, n_after_{}, kinds_after_{};
  double n_counted_ = 0, n_scored_ = 0, bits_ = 0;
  std::optional<std::uint8_t> last_counted_, last_scored_;
};

}  // namespace belay::data
