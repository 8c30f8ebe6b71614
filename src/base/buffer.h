// Large aligned memory straight from the system: zero-filled, on huge pages where the system gives
// them (a training step touches hundreds of megabytes; 4 KB pages would cost a table walk every few
// rows).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace belay::base {

class Buffer {
 public:
  Buffer() = default;
  /// Zeroed memory, aligned to at least 4096 bytes; throws std::bad_alloc when there is none.
  explicit Buffer(std::int64_t bytes);
  std::byte* data() const { return data_.get(); }
  std::int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    std::size_t size;
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_{nullptr, Free{0}};
  std::int64_t bytes_ = 0;
};

}  // namespace belay::base
