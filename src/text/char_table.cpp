#include "text/char_table.h"

#include <algorithm>

#include "text/unicode.h"

namespace belay::text {

/// The lowest rank with which anything outside joins a token of at most three bytes.
struct CharTable::Outside {
  std::vector<std::array<std::uint32_t, 2>> before;  // by token: something ending in ASCII, or not
  std::vector<std::array<std::uint32_t, kClasses>> after;  // by token: something of a right_class

  Outside(const std::vector<std::string>& tokens, std::span<const Merge> merges)
      : before(tokens.size()), after(tokens.size()) {
    for (auto& ranks : before) ranks.fill(kNone);
    for (auto& ranks : after) ranks.fill(kNone);
    for (const Merge& m : merges) {
      const auto left = static_cast<std::size_t>(m.left), right = static_cast<std::size_t>(m.right);
      const auto rank = static_cast<std::uint32_t>(m.rank);
      const bool other = static_cast<std::uint8_t>(tokens[left].back()) >= 0x80;
      std::uint32_t& b = before[right][other ? 1 : 0];
      b = std::min(b, rank);
      std::uint32_t& a = after[left][right_class(static_cast<std::uint8_t>(tokens[right][0]))];
      a = std::min(a, rank);
    }
  }
};

CharTable::CharTable(const std::vector<std::string>& tokens, std::span<const Merge> merges,
                     const MergeTable& table, const std::array<std::uint32_t, 256>& byte_id)
    : byte_id_(byte_id) {
  if (merges.empty()) return;
  const Outside outside(tokens, merges);
  chars_.resize(kEnd - kFirst);
  for (std::uint32_t code = kFirst; code < kEnd; ++code) {
    if (code < 0xD800 || code > 0xDFFF) fill(code, outside, table);
  }
}

void CharTable::fill(std::uint32_t code, const Outside& outside, const MergeTable& table) {
  std::string bytes;
  append_utf8(code, bytes);
  std::vector<std::uint32_t> ids;
  for (const char c : bytes) ids.push_back(byte_id_[static_cast<std::uint8_t>(c)]);
  // Edges that outside could join before the character is finished, and those that it ends with.
  std::vector<std::uint32_t> left_edges, right_edges;
  std::uint32_t highest = 0;
  while (true) {
    left_edges.push_back(ids.front());
    right_edges.push_back(ids.back());
    std::uint32_t best = MergeTable::kNone;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      if (const std::uint32_t rank = table.rank(ids[i], ids[i + 1]); rank < best) {
        best = rank;
        at = i;
      }
    }
    if (best == MergeTable::kNone) break;
    highest = std::max(highest, best);
    ids[at] = table.id_of(best);
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  if (ids.size() > 2 || ids.size() == bytes.size()) return;
  Char c{ids[0], ids.size() > 1 ? ids[1] : kNone, (1u << kClasses) - 1, true};
  bool after_other = true;
  for (const std::uint32_t edge : left_edges) {
    c.after_ascii = c.after_ascii && outside.before[edge][0] > highest;
    after_other = after_other && outside.before[edge][1] > highest;
  }
  for (const std::uint32_t edge : right_edges) {
    for (std::uint32_t k = 0; k < kClasses; ++k) {
      if (outside.after[edge][k] <= highest) c.right &= ~(1u << k);
    }
  }
  if (after_other) chars_[code - kFirst] = c;
}

std::size_t CharTable::symbols(const char* p, const char* e, std::uint32_t* ids) const {
  const char* begin = p;
  std::size_t n = 0;
  while (p < e) {
    const auto byte = static_cast<std::uint8_t>(*p);
    if (byte < 0x80 || chars_.empty()) {
      ids[n++] = byte_id_[byte];
      ++p;
      continue;
    }
    const Decoded decoded = decode_utf8(p, e);
    if (decoded.code < kEnd) {
      const Char& c = chars_[decoded.code - kFirst];
      const char* after = p + decoded.size;
      const bool left = p == begin || c.after_ascii || static_cast<std::uint8_t>(p[-1]) >= 0x80;
      const bool right =
          after == e || (c.right >> right_class(static_cast<std::uint8_t>(*after)) & 1) != 0;
      if (c.first != kNone && left && right) {
        ids[n++] = c.first;
        if (c.second != kNone) ids[n++] = c.second;
        p = after;
        continue;
      }
    }
    for (std::uint32_t i = 0; i < decoded.size; ++i) {
      ids[n++] = byte_id_[static_cast<std::uint8_t>(p[i])];
    }
    p += decoded.size;
  }
  return n;
}

}  // namespace belay::text
