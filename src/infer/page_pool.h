// Which page of keys and values is whose: counts of users, a free list, and the pages that hold a
// known run of token ids, so that a sequence that begins alike shares them. Numbers only; the
// memory is model::KvPages.
//
// A page that is full may be published: it then stands for 64 ids after its parent page. When its
// last user goes it is kept, and taken again for new content in the order of last use. A published
// page is never written. Cost of each call: O(1), and a comparison of 64 ids for find().
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "ops/attention.h"

namespace belay::infer {

using Page = std::int32_t;
constexpr Page kNoPage = -1;

class PagePool {
 public:
  explicit PagePool(std::int64_t n_pages);

  /// A page with one user and no content, or kNoPage when every page has users.
  Page take();
  void share(Page page) { ++info(page).users; }
  void drop(Page page);
  bool shared(Page page) const { return info_[static_cast<std::size_t>(page)].users > 1; }

  /// The content of a published page, unlike any that was or will be; 0: of the beginning of a
  /// text.
  using Serial = std::uint64_t;
  /// Says that `page` holds ids (kPageTokens of them) after what `parent` stands for. When another
  /// page does already, that one stays. Returns the serial that stands for the content.
  Serial publish(Page page, Serial parent, std::span<const std::int32_t> ids);
  /// The page that holds ids after `parent`, with one user more, or kNoPage.
  Page find(Serial parent, std::span<const std::int32_t> ids);
  Serial serial(Page page) const { return info_[static_cast<std::size_t>(page)].serial; }

  std::int64_t n_pages() const { return static_cast<std::int64_t>(info_.size()); }
  /// Pages with users.
  std::int64_t n_used() const { return n_used_; }
  /// Pages that take() can give.
  std::int64_t n_free() const { return n_pages() - n_used_; }

 private:
  struct Info {
    std::int32_t users = 0;
    Page before = kNoPage, after = kNoPage;  // in the list of pages without users
    Serial serial = 0, parent = 0;           // 0: not published
    std::uint64_t key = 0;
    std::array<std::int32_t, ops::kPageTokens> ids{};
  };
  Info& info(Page page) { return info_[static_cast<std::size_t>(page)]; }
  Page lookup(std::uint64_t key, Serial parent, std::span<const std::int32_t> ids) const;
  void append_idle(Page page);
  void prepend_idle(Page page);
  void remove_idle(Page page);
  void forget(Page page);

  std::vector<Info> info_;
  Page first_idle_ = kNoPage, last_idle_ = kNoPage;  // the first is taken first
  std::int64_t n_used_ = 0;
  Serial last_serial_ = 0;
  std::unordered_multimap<std::uint64_t, Page> published_;
};

}  // namespace belay::infer
