#include "data/selection.h"

namespace belay::data {
namespace {

base::Status changed(const std::string& path) {
  return base::corrupt({.where = path,
                        .what = "was changed while it was read",
                        .next = "prepare the data again when it is at rest"});
}

}  // namespace

Selection::Selection(const PrepareFiles& files, const QualityFilter& quality, double valid_fraction)
    : files_(files),
      quality_(quality),
      valid_fraction_(valid_fraction),
      fates_(files.files.size()),
      sums_(files.files.size()),
      seen_sums_(files.files.size()),
      broken_(quality.limits().size()) {}

base::Result<Fate> Selection::fate_of(const Document& document) {
  if (!document.fault.ok()) return document.fault;
  const auto& [record, source, place] = document.from;
  seen_sums_[source] += document.xxh3 * (place + 1);
  if (!decided_) fates_[source].push_back(decide(document));
  if (place >= fates_[source].size()) return changed(files_.files[source].path);
  return fates_[source][place];
}

Fate Selection::decide(const Document& document) {
  if (document.from.record.cut) ++cut_;
  if (document.blank) {
    empty_ += document.counts ? 1 : 0;
    return Fate::kNoText;
  }
  const auto count = [&document](DroppedCount& dropped) {
    ++dropped.documents;
    dropped.text_bytes += static_cast<std::int64_t>(document.text.size());
  };
  if (!seen_.insert(document.xxh3).second) {
    count(duplicates_);
    return Fate::kDuplicate;
  }
  if (!document.broken) return Fate::kKept;
  count(broken_[document.broken->limit]);
  return static_cast<Fate>(static_cast<std::size_t>(Fate::kBroken) + document.broken->limit);
}

base::Status Selection::end_reading(const std::vector<bool>& read) {
  if (!decided_) {
    decided_ = true;
    sums_ = seen_sums_;
    seen_ = {};
  }
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    if (!read.empty() && !read[i]) continue;
    if (seen_sums_[i] != sums_[i]) return changed(files_.files[i].path);
  }
  seen_sums_.assign(sums_.size(), 0);
  return {};
}

Split Selection::split_of(const Document& document) const {
  if (document.from.source < files_.n_valid) return Split::kValid;
  if (files_.n_valid > 0) return Split::kTrain;
  const double place = static_cast<double>(document.xxh3) * 0x1p-64;
  return place < valid_fraction_ ? Split::kValid : Split::kTrain;
}

void Selection::report(DatasetManifest& manifest) const {
  manifest.duplicates = duplicates_.documents;
  manifest.duplicate_bytes = duplicates_.text_bytes;
  manifest.empty = empty_;
  manifest.cut = cut_;
  for (std::size_t i = 0; i < broken_.size(); ++i) {
    const auto& [rule, limit] = quality_.limits()[i];
    manifest.filters.push_back({std::string(rule->name), limit, broken_[i]});
  }
}

}  // namespace belay::data
