#include "data/near_duplicates.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace belay::data {

NearDuplicates::NearDuplicates(double threshold)
    : threshold_(threshold),
      minhash_(threshold),
      bands_(static_cast<std::size_t>(minhash_.bands().count)) {}

void NearDuplicates::add(const Sketch& sketch, bool preferred) {
  digits_.push_back(sketch.digits);
  preferred_.push_back(preferred);
  comparable_.push_back(!sketch.bands.empty());
  for (std::size_t b = 0; b < bands_.size(); ++b) {
    bands_[b].push_back(sketch.bands.empty() ? 0 : sketch.bands[b]);
  }
}

std::vector<NearDuplicates::Dropped> NearDuplicates::resolve() {
  parents_.resize(size());
  std::iota(parents_.begin(), parents_.end(), 0u);
  for (std::vector<std::uint32_t>& keys : bands_) {
    link_band(keys);
    keys = {};
  }
  std::vector<Dropped> dropped;
  for (std::uint32_t d = 0; d < parents_.size(); ++d) {
    const std::uint32_t kept = root(d);
    if (kept != d) dropped.push_back({d, kept, likeness(digits_[d], digits_[kept])});
  }
  *this = NearDuplicates(threshold_);
  return dropped;
}

/// The document of the group that stays.
std::uint32_t NearDuplicates::root(std::uint32_t document) {
  while (parents_[document] != document) {
    document = parents_[document] = parents_[parents_[document]];
  }
  return document;
}

void NearDuplicates::link(std::uint32_t a, std::uint32_t b) {
  const auto rank = [this](std::uint32_t d) { return std::pair(!preferred_[d], d); };
  if (rank(b) < rank(a)) std::swap(a, b);
  parents_[b] = a;
}

void NearDuplicates::link_band(const std::vector<std::uint32_t>& keys) {
  std::vector<std::uint64_t> order;  // key, document
  order.reserve(keys.size());
  for (std::uint32_t d = 0; d < keys.size(); ++d) {
    if (comparable_[d]) order.push_back(std::uint64_t{keys[d]} << 32 | d);
  }
  std::sort(order.begin(), order.end());
  for (std::size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && order[last] >> 32 == order[first] >> 32) ++last;
    if (last - first > 1) link_bucket(&order[first], &order[first] + (last - first));
  }
}

void NearDuplicates::link_bucket(const std::uint64_t* first, const std::uint64_t* last) {
  for (const std::uint64_t* one = first + 1; one < last; ++one) {
    const auto a = static_cast<std::uint32_t>(*one);
    const std::size_t before = std::min(static_cast<std::size_t>(one - first), kMostCompared);
    for (const std::uint64_t* other = one - before; other < one; ++other) {
      const auto b = static_cast<std::uint32_t>(*other);
      const std::uint32_t root_a = root(a), root_b = root(b);
      if (root_a != root_b && likeness(digits_[a], digits_[b]) >= threshold_) link(root_a, root_b);
    }
  }
}

}  // namespace belay::data
