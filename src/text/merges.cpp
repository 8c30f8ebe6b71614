#include "text/merges.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

namespace belay::text {

MergeTable::MergeTable(std::span<const Merge> merges) {
  std::size_t n_slots = 2;
  for (shift_ = 63; n_slots < 2 * merges.size(); n_slots *= 2) --shift_;
  entries_.assign(n_slots, Entry{});
  for (const Merge& m : merges) {
    auto& e = const_cast<Entry&>(
        find(static_cast<std::uint32_t>(m.left), static_cast<std::uint32_t>(m.right)));
    e = {static_cast<std::uint32_t>(m.left), static_cast<std::uint32_t>(m.right),
         static_cast<std::uint32_t>(m.rank), static_cast<std::uint32_t>(m.id)};
  }
}

std::size_t MergeTable::merge_short(std::uint32_t* ids, std::size_t n) const {
  // rank[i] belongs to the pair (i, i + 1), into[i] is what it becomes.
  std::uint32_t rank[kShort], into[kShort];
  const auto look = [&](std::size_t i) {
    const Entry& e = find(ids[i], ids[i + 1]);
    rank[i] = e.rank;
    into[i] = e.id;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) look(i);
  while (n > 1) {
    std::size_t best = 0;
    std::uint32_t lowest = rank[0];
    for (std::size_t i = 1; i + 1 < n; ++i) {
      if (rank[i] < lowest) {
        lowest = rank[i];
        best = i;
      }
    }
    if (lowest == kNone) break;
    ids[best] = into[best];
    for (std::size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      rank[i] = rank[i + 1];
      into[i] = into[i + 1];
    }
    --n;
    if (best > 0) look(best - 1);
    if (best + 1 < n) look(best);
  }
  return n;
}

namespace {

/// The state of one long piece. Invariant: a pair that waits has its position in the list of its
/// rank, or in urgent_ when that rank is not above the one being worked on; a position whose
/// rank_ has changed since is stale there.
class LongMerge {
 public:
  static constexpr std::uint32_t kNone = MergeTable::kNone;

  LongMerge(const MergeTable& table, std::uint32_t* ids, std::size_t n)
      : table_(table),
        ids_(ids),
        n_(static_cast<std::uint32_t>(n)),
        next_(n),
        previous_(n),
        rank_(n, kNone) {
    for (std::uint32_t i = 0; i < n_; ++i) {
      next_[i] = i + 1;
      previous_[i] = i - 1;
    }
    for (std::uint32_t i = 0; i + 1 < n_; ++i) look(i);
  }

  std::size_t run() {
    while (!ranks_.empty()) {
      now_ = ranks_.top();
      ranks_.pop();
      std::vector<std::uint32_t> list = std::move(lists_[now_]);
      lists_.erase(now_);
      if (!std::is_sorted(list.begin(), list.end())) std::sort(list.begin(), list.end());
      for (const std::uint32_t position : list) {
        drain_before(now_, position);
        if (rank_[position] == now_) merge(position);
      }
      drain_before(kNone, kNone);
    }
    std::size_t n = 0;
    for (std::uint32_t i = 0; i < n_; i = next_[i]) ids_[n++] = ids_[i];
    return n;
  }

 private:
  void drain_before(std::uint32_t rank, std::uint32_t position) {
    const std::uint64_t limit = std::uint64_t{rank} << 32 | position;
    while (!urgent_.empty() && urgent_.top() < limit) {
      const std::uint64_t top = urgent_.top();
      urgent_.pop();
      const auto p = static_cast<std::uint32_t>(top);
      if (rank_[p] == top >> 32) merge(p);
    }
  }

  void look(std::uint32_t i) {
    const std::uint32_t rank = table_.find(ids_[i], ids_[next_[i]]).rank;
    rank_[i] = rank;
    if (rank == kNone) return;
    if (started_ && rank <= now_) {
      urgent_.push(std::uint64_t{rank} << 32 | i);
      return;
    }
    if (rank != last_rank_) {
      last_rank_ = rank;
      last_list_ = &lists_[rank];  // stays where it is until it is erased
    }
    if (last_list_->empty()) ranks_.push(rank);
    last_list_->push_back(i);
  }

  void merge(std::uint32_t i) {
    started_ = true;
    const std::uint32_t right = next_[i];
    ids_[i] = table_.find(ids_[i], ids_[right]).id;
    rank_[right] = kNone;
    next_[i] = next_[right];
    rank_[i] = kNone;
    if (next_[i] < n_) {
      previous_[next_[i]] = i;
      look(i);
    }
    if (i > 0) look(previous_[i]);
  }

  const MergeTable& table_;
  std::uint32_t* ids_;
  std::uint32_t n_;
  std::vector<std::uint32_t> next_, previous_, rank_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> lists_;
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ranks_;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> urgent_;
  std::uint32_t now_ = 0, last_rank_ = kNone;
  std::vector<std::uint32_t>* last_list_ = nullptr;
  bool started_ = false;
};

}  // namespace

std::size_t MergeTable::merge_long(std::uint32_t* ids, std::size_t n) const {
  return LongMerge(*this, ids, n).run();
}

}  // namespace belay::text
