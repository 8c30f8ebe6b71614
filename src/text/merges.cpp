#include "text/merges.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <queue>
#include <unordered_map>

namespace belay::text {
namespace {

/// Four lanes, as x86-64-v2 and every 64-bit Arm have them.
using Lanes = std::uint32_t __attribute__((vector_size(16)));

std::uint32_t lowest(const std::uint32_t* keys, std::size_t n_lanes) {
  Lanes low;
  std::memcpy(&low, keys, sizeof low);
  for (std::size_t i = 4; i < n_lanes; i += 4) {
    Lanes v;
    std::memcpy(&v, keys + i, sizeof v);
    low = v < low ? v : low;
  }
  return std::min(std::min(low[0], low[1]), std::min(low[2], low[3]));
}

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges) {
  std::size_t n_slots = 2;
  for (shift_ = 63; n_slots < 2 * merges.size(); n_slots *= 2) --shift_;
  slots_.assign(n_slots, kEmpty);
  for (const Merge& m : merges) {
    const auto rank = static_cast<std::uint32_t>(m.rank);
    const std::uint64_t key =
        static_cast<std::uint64_t>(m.left) << 20 | static_cast<std::uint64_t>(m.right);
    std::size_t slot = (key * 0x9E3779B97F4A7C15u) >> shift_;
    while (slots_[slot] != kEmpty && slots_[slot] >> 24 != key) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = key << 24 | rank;
    if (ids_.size() <= rank) ids_.resize(rank + 1);
    ids_[rank] = static_cast<std::uint32_t>(m.id);
  }
}

std::size_t MergeTable::merge_short(std::uint32_t* ids, std::size_t n) const {
  // keys[i]: rank and position of the pair that begins at i, so that the least key is the next
  // merge; above all ranks where there is none. Positions stay, links skip what was merged away.
  constexpr std::uint32_t kNoKey = ~std::uint32_t{0};
  static_assert(kShort <= 128);
  alignas(16) std::uint32_t keys[kShort];
  std::uint8_t next[kShort + 1], previous[kShort + 1];
  const auto key = [&](std::size_t i, std::size_t j) {
    const std::uint32_t r = rank(ids[i], ids[j]);
    return r == kNone ? kNoKey : r << 7 | static_cast<std::uint32_t>(i);
  };
  for (std::size_t i = 0; i < n; ++i) {
    keys[i] = i + 1 < n ? key(i, i + 1) : kNoKey;
    next[i] = static_cast<std::uint8_t>(i + 1);
    previous[i] = static_cast<std::uint8_t>(i - 1);
  }
  const std::size_t n_lanes = (n + 3) & ~std::size_t{3};
  for (std::size_t i = n; i < n_lanes; ++i) keys[i] = kNoKey;
  while (true) {
    const std::uint32_t best = lowest(keys, n_lanes);
    if (best == kNoKey) break;
    const std::size_t i = best & 127, right = next[i], after = next[right];
    ids[i] = id_of(best >> 7);
    next[i] = static_cast<std::uint8_t>(after);
    previous[after] = static_cast<std::uint8_t>(i);
    keys[right] = kNoKey;
    keys[i] = after < n ? key(i, after) : kNoKey;
    if (i > 0) keys[previous[i]] = key(previous[i], i);
  }
  std::size_t n_out = 0;
  for (std::size_t i = 0; i < n; i = next[i]) ids[n_out++] = ids[i];
  return n_out;
}

namespace {

/// The state of one long piece. Two words a symbol: its id (kGone where a symbol was merged into
/// the one before it), and in the first and last cell of a symbol how many cells it spans.
/// Invariant: a pair that waits has its position in the list of its rank, or in urgent_ when that
/// rank is not above the one being worked on; a position whose pair has another rank by then is
/// stale there.
class LongMerge {
 public:
  static constexpr std::uint32_t kNone = MergeTable::kNone;

  LongMerge(const MergeTable& table, std::uint32_t* ids, std::size_t n)
      : table_(table), ids_(ids), n_(static_cast<std::uint32_t>(n)), span_(n, 1) {
    for (std::uint32_t i = 0; i + 1 < n_; ++i) look(i);
    started_ = true;
  }

  std::size_t run() {
    while (!ranks_.empty()) {
      now_ = ranks_.top();
      ranks_.pop();
      List list = std::move(lists_[now_]);
      lists_.erase(now_);  // and is not asked for again: see urgent_
      if (!std::is_sorted(list.begin(), list.end())) std::sort(list.begin(), list.end());
      for (; !list.empty(); list.pop_front()) {
        drain_before(now_, list.front());
        merge(list.front(), now_);
      }
      drain_before(kNone, 0);
    }
    std::size_t n = 0;
    for (std::uint32_t i = 0; i < n_; i += span_[i]) ids_[n++] = ids_[i];
    return n;
  }

 private:
  using List = std::deque<std::uint32_t>;  // gives memory back as it is worked off
  static constexpr std::uint32_t kGone = ~std::uint32_t{0};

  void drain_before(std::uint32_t rank, std::uint32_t position) {
    const std::uint64_t limit = std::uint64_t{rank} << 32 | position;
    while (!urgent_.empty() && urgent_.top() < limit) {
      const std::uint64_t top = urgent_.top();
      urgent_.pop();
      merge(static_cast<std::uint32_t>(top), static_cast<std::uint32_t>(top >> 32));
    }
  }

  std::uint32_t rank_at(std::uint32_t i) const {
    const std::uint32_t next = i + span_[i];
    return next < n_ ? table_.rank(ids_[i], ids_[next]) : kNone;
  }

  void look(std::uint32_t i) {
    const std::uint32_t rank = rank_at(i);
    if (rank == kNone) return;
    if (started_ && rank <= now_) {
      urgent_.push(std::uint64_t{rank} << 32 | i);
      return;
    }
    List& list = list_of(rank);
    if (list.empty()) ranks_.push(rank);
    list.push_back(i);
  }

  /// A small memory in front of the map: long pieces tend to be made of few pairs.
  List& list_of(std::uint32_t rank) {
    Recent& r = recent_[rank & (recent_.size() - 1)];
    if (r.list == nullptr || r.rank != rank) r = {rank, &lists_[rank]};
    return *r.list;
  }

  /// Merges the pair at i when it is there and still of this rank.
  void merge(std::uint32_t i, std::uint32_t rank) {
    if (ids_[i] == kGone || rank_at(i) != rank) return;
    const std::uint32_t right = i + span_[i], end = right + span_[right];
    ids_[right] = kGone;
    ids_[i] = table_.id_of(rank);
    span_[i] = span_[end - 1] = end - i;
    look(i);
    if (i > 0) look(i - span_[i - 1]);
  }

  struct Recent {
    std::uint32_t rank = 0;
    List* list = nullptr;
  };

  const MergeTable& table_;
  std::uint32_t* ids_;
  std::uint32_t n_;
  std::vector<std::uint32_t> span_;
  std::unordered_map<std::uint32_t, List> lists_;
  std::array<Recent, 64> recent_{};
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ranks_;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> urgent_;
  std::uint32_t now_ = 0;
  bool started_ = false;
};

}  // namespace

std::size_t MergeTable::merge_long(std::uint32_t* ids, std::size_t n) const {
  return LongMerge(*this, ids, n).run();
}

}  // namespace belay::text
