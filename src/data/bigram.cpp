#include "data/bigram.h"

#include <algorithm>
#include <cmath>

namespace belay::data {
namespace {

constexpr std::size_t kBytes = 256;

}  // namespace

Bigram::Bigram() : pairs_(kBytes * kBytes) {}

void Bigram::count(std::string_view piece) {
  for (const char c : piece) {
    const auto byte = static_cast<std::uint8_t>(c);
    ++singles_[byte];
    if (last_counted_) {
      std::int64_t& pair = pairs_[*last_counted_ * kBytes + byte];
      if (pair++ == 0) ++kinds_after_[*last_counted_];
      ++n_after_[*last_counted_];
    }
    last_counted_ = byte;
  }
  n_counted_ += static_cast<double>(piece.size());
}

void Bigram::score(std::string_view piece) {
  for (const char c : piece) {
    const auto byte = static_cast<std::uint8_t>(c);
    bits_ += bits(last_scored_, byte);
    last_scored_ = byte;
  }
  n_scored_ += static_cast<double>(piece.size());
}

double Bigram::bits_per_byte() const { return n_scored_ == 0 ? 0 : bits_ / n_scored_; }

double Bigram::bits(std::optional<std::uint8_t> before, std::uint8_t byte) const {
  const double alone = (singles_[byte] + 1.0) / (n_counted_ + static_cast<double>(kBytes));
  if (!before) return -std::log2(alone);
  const double kinds = std::max(1.0, kinds_after_[*before]);
  const auto pair = static_cast<double>(pairs_[*before * kBytes + byte]);
  return -std::log2((pair + kinds * alone) / (n_after_[*before] + kinds));
}

}  // namespace belay::data
