// Tokens by id and by their bytes. The bytes lie in one block; a lookup is a hash, one probe on the
// average and one comparison.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace belay::text {

/// Mixes two words; good enough for tables, no defence against chosen keys.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product =
      static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xE7037ED1A0B428DBu);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t hash_bytes(const char* p, std::size_t size) {
  std::uint64_t h = size, word = 0;
  for (; size > 8; p += 8, size -= 8) {
    std::memcpy(&word, p, 8);
    h = mix(h, word);
  }
  word = 0;
  std::memcpy(&word, p, size);
  return mix(h, word);
}

class TokenTable {
 public:
  TokenTable() = default;
  explicit TokenTable(const std::vector<std::string>& tokens) {
    offsets_.reserve(tokens.size() + 1);
    offsets_.push_back(0);
    for (const std::string& token : tokens) {
      bytes_ += token;
      offsets_.push_back(static_cast<std::uint32_t>(bytes_.size()));
    }
    std::size_t n_slots = 16;
    while (n_slots < 2 * tokens.size()) n_slots *= 2;
    slots_.assign(n_slots, -1);
    for (std::size_t id = 0; id < tokens.size(); ++id) {
      if (tokens[id].empty() || find(tokens[id]) >= 0) continue;
      std::size_t slot = slot_of(tokens[id]);
      while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<std::int32_t>(id);
    }
  }

  std::size_t size() const { return offsets_.empty() ? 0 : offsets_.size() - 1; }
  std::string_view at(std::int32_t id) const {
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }
  /// The smallest id with these bytes; -1 when there is none.
  std::int32_t find(std::string_view bytes) const {
    for (std::size_t slot = slot_of(bytes); slots_[slot] >= 0;
         slot = (slot + 1) & (slots_.size() - 1)) {
      if (at(slots_[slot]) == bytes) return slots_[slot];
    }
    return -1;
  }

 private:
  std::size_t slot_of(std::string_view bytes) const {
    return hash_bytes(bytes.data(), bytes.size()) & (slots_.size() - 1);
  }
  std::string bytes_;
  std::vector<std::uint32_t> offsets_;
  std::vector<std::int32_t> slots_;
};

}  // namespace belay::text
