#include "base/buffer.h"

#include <sys/mman.h>

#include <new>

namespace belay::base {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

void Buffer::Free::operator()(std::byte* p) const { ::munmap(p, size); }

Buffer::Buffer(std::int64_t bytes) : bytes_(bytes) {
  if (bytes <= 0) return;
  const auto size = static_cast<std::size_t>(bytes);
  // A huge page needs an address that is a multiple of its size: map a little more, cut both ends.
  const std::size_t room = size >= kHugePage ? size + kHugePage : size;
  void* got = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(got);
  std::size_t kept = room;
  if (size >= kHugePage) {
    const std::size_t skip =
        (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
    if (skip > 0) ::munmap(begin, skip);
    begin += skip;
    kept -= skip;
    ::madvise(begin, kept, MADV_HUGEPAGE);
  }
  data_ = std::unique_ptr<std::byte, Free>(begin, Free{kept});
}

}  // namespace belay::base
