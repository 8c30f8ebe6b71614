#include "data/words.h"

#include <algorithm>

namespace belay::data {
namespace {

struct Range {
  std::uint32_t first, last;
};

constexpr Range kUnspaced[] = {
    {0x0E01, 0x0EFF},    // Thai, Lao
    {0x1000, 0x109F},    // Myanmar
    {0x1780, 0x17FF},    // Khmer
    {0x1950, 0x19DF},    // Tai Le, New Tai Lue
    {0x1A20, 0x1AAF},    // Tai Tham
    {0x2E80, 0x2FDF},    // Han: radicals
    {0x3005, 0x3007},    // Han: iteration mark, closing mark, zero
    {0x3021, 0x30FF},    // Hangzhou numerals, Hiragana, Katakana
    {0x3105, 0x312F},    // Bopomofo
    {0x31A0, 0x31FF},    // Bopomofo, strokes, Katakana
    {0x3400, 0x4DBF},    // Han
    {0x4E00, 0xA4CF},    // Han, Yi
    {0xA9E0, 0xA9FF},    // Myanmar
    {0xAA60, 0xAADF},    // Myanmar, Tai Viet
    {0xF900, 0xFAFF},    // Han
    {0xFF66, 0xFF9F},    // Katakana
    {0x1AFF0, 0x1B16F},  // Kana
    {0x20000, 0x3FFFF},  // Han
};

}  // namespace

bool is_unspaced(std::uint32_t code) {
  if (code < kUnspaced[0].first) return false;
  return std::any_of(std::begin(kUnspaced), std::end(kUnspaced),
                     [code](const Range& r) { return r.first <= code && code <= r.last; });
}

}  // namespace belay::data
