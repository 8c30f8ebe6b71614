#include "infer/page_pool.h"

#include <algorithm>

#include "base/hash.h"
#include "base/status.h"

namespace belay::infer {
namespace {

std::uint64_t key_of(PagePool::Serial parent, std::span<const std::int32_t> ids) {
  return base::xxh3_64(std::as_bytes(ids)) ^ (parent * 0x9E3779B97F4A7C15u);
}

}  // namespace

PagePool::PagePool(std::int64_t n_pages) : info_(static_cast<std::size_t>(n_pages)) {
  published_.reserve(info_.size());
  for (Page page = 0; page < n_pages; ++page) append_idle(page);
}

void PagePool::append_idle(Page page) {
  info(page).before = last_idle_, info(page).after = kNoPage;
  (last_idle_ == kNoPage ? first_idle_ : info(last_idle_).after) = page;
  last_idle_ = page;
}

void PagePool::prepend_idle(Page page) {
  info(page).before = kNoPage, info(page).after = first_idle_;
  (first_idle_ == kNoPage ? last_idle_ : info(first_idle_).before) = page;
  first_idle_ = page;
}

void PagePool::remove_idle(Page page) {
  const Info& at = info(page);
  (at.before == kNoPage ? first_idle_ : info(at.before).after) = at.after;
  (at.after == kNoPage ? last_idle_ : info(at.after).before) = at.before;
}

void PagePool::forget(Page page) {
  Info& at = info(page);
  if (at.serial == 0) return;
  const auto [begin, end] = published_.equal_range(at.key);
  published_.erase(std::find_if(begin, end, [&](const auto& e) { return e.second == page; }));
  at.serial = 0;
}

Page PagePool::take() {
  const Page page = first_idle_;
  if (page == kNoPage) return kNoPage;
  remove_idle(page);
  forget(page);
  info(page).users = 1;
  ++n_used_;
  return page;
}

void PagePool::drop(Page page) {
  Info& at = info(page);
  BELAY_CHECK(at.users > 0, "a page that is dropped has a user");
  if (--at.users > 0) return;
  --n_used_;
  // What nobody can find again goes first.
  at.serial == 0 ? prepend_idle(page) : append_idle(page);
}

Page PagePool::lookup(std::uint64_t key, Serial parent, std::span<const std::int32_t> ids) const {
  const auto [begin, end] = published_.equal_range(key);
  for (auto entry = begin; entry != end; ++entry) {
    const Info& at = info_[static_cast<std::size_t>(entry->second)];
    if (at.parent == parent && std::equal(ids.begin(), ids.end(), at.ids.begin())) {
      return entry->second;
    }
  }
  return kNoPage;
}

PagePool::Serial PagePool::publish(Page page, Serial parent, std::span<const std::int32_t> ids) {
  BELAY_CHECK(ids.size() == static_cast<std::size_t>(ops::kPageTokens), "a page is full");
  const std::uint64_t key = key_of(parent, ids);
  if (const Page other = lookup(key, parent, ids); other != kNoPage) return serial(other);
  Info& at = info(page);
  BELAY_CHECK(at.users > 0 && at.serial == 0, "a page is published once, by its user");
  at.serial = ++last_serial_, at.parent = parent, at.key = key;
  std::copy(ids.begin(), ids.end(), at.ids.begin());
  published_.emplace(key, page);
  return at.serial;
}

Page PagePool::find(Serial parent, std::span<const std::int32_t> ids) {
  const Page page = lookup(key_of(parent, ids), parent, ids);
  if (page == kNoPage) return kNoPage;
  if (info(page).users == 0) {
    remove_idle(page);
    ++n_used_;
  }
  ++info(page).users;
  return page;
}

}  // namespace belay::infer
