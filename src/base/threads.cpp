#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <thread>
#include <vector>

namespace belay::base {
namespace {

constexpr int kSpins = 20000;  // about 50 us: longer than the gap between two loops of a step
constexpr int kYields = 4000;  // a few ms: longer than a chunk. Waking a thread costs about 50 us
constexpr std::uint64_t kClosed = 0xffffffffu;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// CPUs that cgroup v2's quota allows, or a large number when there is no quota.
int cgroup_cpus() {
  long long quota = 0, period = 0;
  std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file == nullptr) return 1 << 20;
  const int n = std::fscanf(file, "%lld %lld", &quota, &period);
  std::fclose(file);
  if (n != 2 || quota <= 0 || period <= 0) return 1 << 20;
  return static_cast<int>(std::max(1LL, quota / period));
}

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = std::max(1, CPU_COUNT(&set));
  return std::min(n, cgroup_cpus());
}

// Each worker owns a contiguous range of the chunks, so that consecutive loops over the same rows
// find them in the same core's cache; who has finished helps the others. A range's ticket holds
// (generation << 32 | next chunk). A chunk is claimed by compare-exchange, so a late worker can
// never take one of a loop whose body it has not seen: tickets are closed before the body of the
// next loop is written, and the generation is part of what is compared.
struct alignas(64) ThreadPool::Range {
  std::atomic<std::uint64_t> ticket{kClosed};
};

struct ThreadPool::Shared {
  explicit Shared(int n_threads) : ranges(static_cast<std::size_t>(n_threads)) {}
  std::vector<Range> ranges;
  alignas(64) std::atomic<std::uint32_t> n_done{0};  // 32 bits: what the system can wait for
  alignas(64) std::atomic<std::uint32_t> generation{0};
  std::atomic<std::int64_t> n_chunks{0};
  std::atomic<Call> call{nullptr};
  std::atomic<void*> body{nullptr};
  std::atomic<bool> stop{false};
  int spins = kSpins, yields = kYields;
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int n_threads)
    : n_threads_(std::max(1, n_threads)), shared_(std::make_unique<Shared>(n_threads_)) {
  if (n_threads_ > usable_cpus()) shared_->spins = shared_->yields = 0;
  for (int i = 1; i < n_threads_; ++i) shared_->workers.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true);
  shared_->generation.fetch_add(1);
  shared_->generation.notify_all();
  for (std::thread& t : shared_->workers) t.join();
}

void ThreadPool::drain(int worker) {
  Shared& s = *shared_;
  std::uint32_t n_done = 0;  // told once, at the end: the line is shared
  for (int i = 0; i < n_threads_; ++i) {
    const int owner = (worker + i) % n_threads_;
    std::atomic<std::uint64_t>& range = s.ranges[static_cast<std::size_t>(owner)].ticket;
    for (;;) {
      std::uint64_t ticket = range.load(std::memory_order_acquire);
      const auto chunk = static_cast<std::int64_t>(ticket & 0xffffffffu);
      const std::int64_t n = s.n_chunks.load(std::memory_order_acquire);
      const Call call = s.call.load(std::memory_order_acquire);
      void* body = s.body.load(std::memory_order_acquire);
      if (chunk >= range_begin(n, owner + 1)) break;
      if (!range.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
      call(body, chunk, worker);
      ++n_done;
    }
  }
  if (n_done == 0) return;
  // The loop cannot end before this, so its number of chunks is still there.
  const auto n_chunks = static_cast<std::uint32_t>(s.n_chunks.load(std::memory_order_relaxed));
  if (s.n_done.fetch_add(n_done, std::memory_order_release) + n_done == n_chunks) {
    s.n_done.notify_one();
  }
}

void ThreadPool::wait_for(std::uint32_t n_chunks) {
  Shared& s = *shared_;
  std::uint32_t n_done = 0;
  for (int i = 0; (n_done = s.n_done.load(std::memory_order_acquire)) != n_chunks; ++i) {
    if (i < s.spins) {
      pause_cpu();
    } else if (i < s.spins + s.yields) {
      std::this_thread::yield();
    } else {
      s.n_done.wait(n_done, std::memory_order_acquire);
    }
  }
}

void ThreadPool::work(int worker) {
  Shared& s = *shared_;
  std::uint32_t seen = 0;
  for (;;) {
    std::uint32_t now = s.generation.load(std::memory_order_acquire);
    for (int i = 0; now == seen && i < s.spins; ++i) {
      pause_cpu();
      now = s.generation.load(std::memory_order_acquire);
    }
    while (now == seen) {
      s.generation.wait(seen, std::memory_order_acquire);
      now = s.generation.load(std::memory_order_acquire);
    }
    seen = now;
    if (s.stop.load()) return;
    drain(worker);
  }
}

void ThreadPool::run(std::int64_t n_chunks, Call call, void* body) {
  if (n_chunks <= 0) return;
  if (n_threads_ == 1 || n_chunks == 1) {
    for (std::int64_t i = 0; i < n_chunks; ++i) call(body, i, 0);
    return;
  }
  Shared& s = *shared_;
  const std::uint64_t generation = std::uint64_t{s.generation.load(std::memory_order_relaxed)} + 1;
  for (Range& r : s.ranges) r.ticket.store((generation << 32) | kClosed, std::memory_order_seq_cst);
  s.n_done.store(0, std::memory_order_relaxed);
  s.n_chunks.store(n_chunks, std::memory_order_release);
  s.call.store(call, std::memory_order_release);
  s.body.store(body, std::memory_order_release);
  for (int w = 0; w < n_threads_; ++w) {
    const auto begin = static_cast<std::uint64_t>(range_begin(n_chunks, w));
    s.ranges[static_cast<std::size_t>(w)].ticket.store((generation << 32) | begin,
                                                       std::memory_order_release);
  }
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();
  drain(0);
  wait_for(static_cast<std::uint32_t>(n_chunks));
}

}  // namespace belay::base
