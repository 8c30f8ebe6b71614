// The simplest model that a trained one must beat: a byte given the byte before it.
#pragma once

#include <cstdint>
#include <span>

namespace belay::data {

/// Bits per byte of valid under a bigram of bytes counted on train, with Witten-Bell smoothing:
///   P(b) = (n(b) + 1) / (N + 256)
///   P(b | a) = (n(ab) + k(a) P(b)) / (n(a) + k(a)), k(a) = max(1, number of kinds of byte after a)
/// where n counts in train and N is its length; the first byte of valid is scored by P(b). Cost:
/// one pass over both texts. 0 when valid is empty; train may be empty (then 8).
/// Witten, Bell, "The zero-frequency problem", IEEE Transactions on Information Theory 37 (1991).
double bigram_bits_per_byte(std::span<const std::uint8_t> train,
                            std::span<const std::uint8_t> valid);

}  // namespace belay::data
