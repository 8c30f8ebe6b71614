#include "data/bigram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace belay::data {
namespace {

constexpr std::size_t kBytes = 256;

class Bigram {
 public:
  explicit Bigram(std::span<const std::uint8_t> text)
      : pairs_(kBytes * kBytes), n_(static_cast<double>(text.size())) {
    for (const std::uint8_t byte : text) ++singles_[byte];
    for (std::size_t i = 1; i < text.size(); ++i) {
      std::int64_t& pair = pairs_[text[i - 1] * kBytes + text[i]];
      if (pair++ == 0) ++kinds_after_[text[i - 1]];
      ++n_after_[text[i - 1]];
    }
  }

  double bits(std::uint8_t b) const { return -std::log2(unigram(b)); }
  double bits(std::uint8_t a, std::uint8_t b) const {
    const double kinds = std::max(1.0, kinds_after_[a]);
    const auto pair = static_cast<double>(pairs_[a * kBytes + b]);
    return -std::log2((pair + kinds * unigram(b)) / (n_after_[a] + kinds));
  }

 private:
  double unigram(std::uint8_t b) const {
    return (singles_[b] + 1.0) / (n_ + static_cast<double>(kBytes));
  }

  std::vector<std::int64_t> pairs_;  // [first byte, second byte]
  std::array<double, kBytes> singles_{}, n_after_{}, kinds_after_{};
  double n_;
};

}  // namespace

double bigram_bits_per_byte(std::span<const std::uint8_t> train,
                            std::span<const std::uint8_t> valid) {
  if (valid.empty()) return 0;
  const Bigram model(train);
  double bits = model.bits(valid[0]);
  for (std::size_t i = 1; i < valid.size(); ++i) bits += model.bits(valid[i - 1], valid[i]);
  return bits / static_cast<double>(valid.size());
}

}  // namespace belay::data
