#include "text/piece_counts.h"

#include <algorithm>

namespace belay::text {
namespace {
constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr std::size_t kBatch = 64;  // chunks between looks at the memory
}  // namespace

PieceTable::PieceTable() : short_(1 << 12), long_(1 << 10) {}

void PieceTable::grow_short() {
  std::vector<Short> old(2 * short_.size());
  old.swap(short_);
  for (const Short& s : old) {
    if (s.count == 0) continue;
    std::size_t slot = mix(s.key.low, s.key.high) & (short_.size() - 1);
    while (short_[slot].count != 0) slot = (slot + 1) & (short_.size() - 1);
    short_[slot] = s;
  }
}

void PieceTable::grow_long() {
  std::vector<Long> old(2 * long_.size());
  old.swap(long_);
  for (const Long& l : old) {
    if (l.count == 0) continue;
    std::size_t slot = l.hash & (long_.size() - 1);
    while (long_[slot].count != 0) slot = (slot + 1) & (long_.size() - 1);
    long_[slot] = l;
  }
}

void PieceTable::add_long(std::string_view piece, std::uint64_t count) {
  const std::uint64_t hash = hash_bytes(piece.data(), piece.size());
  std::size_t slot = hash & (long_.size() - 1);
  for (; long_[slot].count != 0; slot = (slot + 1) & (long_.size() - 1)) {
    Long& l = long_[slot];
    if (l.hash == hash && std::string_view(bytes_).substr(l.begin, l.size) == piece) {
      l.count += count;
      return;
    }
  }
  long_[slot] = {hash, bytes_.size(), piece.size(), count};
  bytes_ += piece;
  if (2 * ++n_long_ > long_.size()) grow_long();
}

void PieceTable::add_all(const PieceTable& other) {
  other.for_each([this](std::string_view piece, std::uint64_t count) {
    add(piece.data(), piece.size(), piece.data() + piece.size(), count);
  });
}

std::uint64_t PieceTable::bytes() const {
  return n_short_ * 2 * sizeof(Short) + n_long_ * 2 * sizeof(Long) + bytes_.size();
}

void PieceTable::keep(std::uint64_t least) {
  PieceTable kept;
  for_each([&](std::string_view piece, std::uint64_t count) {
    if (count >= least) kept.add(piece.data(), piece.size(), piece.data() + piece.size(), count);
  });
  *this = std::move(kept);
}

PieceCounter::PieceCounter(base::ThreadPool& pool, Split split, std::vector<std::string> specials,
                           bool nfc, std::uint64_t max_bytes)
    : pool_(pool),
      split_(split),
      specials_(std::move(specials)),
      nfc_(nfc),
      max_bytes_(max_bytes),
      tables_(static_cast<std::size_t>(pool.size())) {}

void PieceCounter::add(std::span<const std::string_view> texts) {
  std::vector<std::string_view> chunks;
  for (std::string_view text : texts) {
    while (!text.empty()) {
      std::size_t begin = text.size(), size = 0;
      for (const std::string& special : specials_) {
        if (const std::size_t hit = text.find(special); hit < begin) {
          begin = hit;
          size = special.size();
        }
      }
      chop(text.substr(0, begin), chunks);
      text.remove_prefix(begin + size);
    }
  }
  for (std::size_t begin = 0; begin < chunks.size(); begin += kBatch) {
    const auto batch = std::span(chunks).subspan(begin, std::min(kBatch, chunks.size() - begin));
    pool_.parallel(static_cast<std::int64_t>(batch.size()), [&](std::int64_t i, int worker) {
      count(batch[static_cast<std::size_t>(i)], tables_[static_cast<std::size_t>(worker)]);
    });
    for (const std::string_view chunk : batch) n_text_bytes_ += chunk.size();
    limit();
  }
}

void PieceCounter::chop(std::string_view segment, std::vector<std::string_view>& chunks) const {
  while (!segment.empty()) {
    std::size_t cut = segment.size();
    for (std::size_t size = kChunk; size < segment.size(); size *= 2) {
      if (const std::size_t found = last_safe_cut(split_, segment.substr(0, size), nfc_)) {
        cut = found;
        break;
      }
    }
    chunks.push_back(segment.substr(0, cut));
    segment.remove_prefix(cut);
  }
}

void PieceCounter::count(std::string_view chunk, PieceTable& table) const {
  std::string changed;
  if (nfc_ && !is_quickly_nfc(chunk)) {
    changed = to_nfc(chunk);
    chunk = changed;
  }
  for_each_piece(split_, chunk, [&table](const char* p, const char* e, const char* end) {
    table.add(p, static_cast<std::size_t>(e - p), end);
  });
}

PieceTable PieceCounter::take() {
  PieceTable all = std::move(tables_[0]);
  tables_[0] = PieceTable();
  for (PieceTable& table : tables_) {
    all.add_all(table);
    table = PieceTable();
  }
  return all;
}

void PieceCounter::limit() {
  std::uint64_t bytes = 0;
  for (const PieceTable& table : tables_) bytes += table.bytes();
  if (bytes <= max_bytes_) return;
  PieceTable all = take();
  for (std::uint64_t least = 2; all.bytes() > max_bytes_ && all.size() > 0; ++least) {
    all.keep(least);
    forgotten_below_ = std::max(forgotten_below_, least);
  }
  tables_[0] = std::move(all);
}

}  // namespace belay::text
