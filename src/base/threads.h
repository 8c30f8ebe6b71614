// A small pool for fork-join loops over chunks. What a chunk computes must follow from its index
// alone: chunks are handed out in any order to any worker, so results never depend on the number of
// threads. Invariant: no allocation, no lock on the path of parallel(); who waits spins briefly,
// then sleeps.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace belay::base {

/// Threads worth starting here: the smaller of the affinity mask and the cgroup's CPU quota (at
/// least 1).
int usable_cpus();

class ThreadPool {
 public:
  /// Starts n_threads - 1 workers; the caller of parallel() is the remaining one.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  /// Calls body(chunk, worker) for every chunk in [0, n_chunks) and returns when all are done.
  /// worker is in [0, size()) and names private scratch. body must not throw. Not reentrant.
  template <class Body>
  void parallel(std::int64_t n_chunks, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        n_chunks,
        [](void* self, std::int64_t chunk, int worker) noexcept {
          (*static_cast<Plain*>(self))(chunk, worker);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void*, std::int64_t, int) noexcept;
  struct Range;
  struct Shared;
  void run(std::int64_t n_chunks, Call call, void* body);
  void work(int worker);
  void drain(int worker);
  void wait_for(std::uint32_t n_chunks);
  /// First chunk of a worker's own range.
  std::int64_t range_begin(std::int64_t n_chunks, int worker) const {
    return n_chunks * worker / n_threads_;
  }

  int n_threads_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace belay::base
