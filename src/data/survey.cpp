#include "data/survey.h"

#include <map>
#include <optional>

#include "data/near_duplicates.h"
#include "data/text_encoder.h"

namespace belay::data {
namespace {

using base::Status;

constexpr std::size_t kMostExamples = 10;
constexpr double kShareOfWork = 0.5;

/// A document that near-duplicates were looked for of.
struct Seen {
  std::uint32_t source = 0, place = 0;
  std::uint64_t number = 0, bytes = 0;
  bool valid = false;
};

class Survey {
 public:
  explicit Survey(Preparation& p) : p_(p), encoder_(p.threads, p.tokenizer) {
    if (p.options.near_duplicates > 0) near_.emplace(p.options.near_duplicates);
  }

  Status run() {
    std::uint64_t total_bytes = 1;
    for (const SourceFile& file : p_.files.files) total_bytes += file.bytes;
    DocumentBatches batches(p_.threads, p_.env, p_.files.files,
                            {.field = p_.options.field,
                             .quality = &p_.quality,
                             .quality_from = p_.files.n_valid,
                             .minhash = near_ ? &near_->minhash() : nullptr});
    for (bool more = true; more;) {
      BELAY_ASSIGN_OR_RETURN(more, batches.next());
      BELAY_RETURN_IF_ERROR(take(batches.documents()));
      BELAY_RETURN_IF_ERROR(p_.check_stop());
      state_.fraction = kShareOfWork * static_cast<double>(batches.bytes_read()) /
                        static_cast<double>(total_bytes);
      p_.on_progress(state_);
    }
    BELAY_RETURN_IF_ERROR(p_.selection.end_reading());
    if (near_) drop_near_duplicates();
    return p_.mixture.empty() ? Status() : p_.mixture.plan(p_.selection);
  }

 private:
  Status take(const std::vector<Document>& documents) {
    std::vector<const Document*> for_training;
    encoder_.clear();
    for (const Document& document : documents) {
      BELAY_ASSIGN_OR_RETURN(const Fate fate, p_.selection.fate_of(document));
      if (fate != Fate::kKept) continue;
      ++state_.documents;
      state_.text_bytes += static_cast<std::int64_t>(document.text.size());
      const bool valid = p_.selection.split_of(document) == Split::kValid;
      if (near_) {
        near_->add(document.sketch, valid);
        seen_.push_back({static_cast<std::uint32_t>(document.from.source),
                         static_cast<std::uint32_t>(document.from.place),
                         document.from.record.number, document.text.size(), valid});
      }
      if (valid || p_.mixture.empty()) continue;
      encoder_.add(document.text);
      for_training.push_back(&document);
    }
    encoder_.run();
    for (std::size_t i = 0; i < for_training.size(); ++i) {
      encoder_.document(i, ids_);
      p_.mixture.count(*for_training[i], static_cast<std::int64_t>(ids_.size()));
      state_.tokens += static_cast<std::int64_t>(ids_.size());
    }
    return {};
  }

  void drop_near_duplicates() {
    NearDuplicateCounts& counts = p_.near_counts;
    counts.threshold = p_.options.near_duplicates;
    std::map<std::uint32_t, DroppedCount> by_source;
    for (const NearDuplicates::Dropped& d : near_->resolve()) {
      const Seen &gone = seen_[d.document], &kept = seen_[d.kept];
      p_.selection.drop_near_duplicate(gone.source, gone.place);
      p_.near_pairs.push_back({gone.source, gone.place, kept.source, kept.number, d.likeness});
      for (DroppedCount* count : {&counts.dropped, &by_source[gone.source]}) {
        ++count->documents;
        count->text_bytes += static_cast<std::int64_t>(gone.bytes);
      }
      counts.from_training += kept.valid && !gone.valid ? 1 : 0;
      if (counts.examples.size() == kMostExamples) continue;
      counts.examples.push_back({place_text(p_.files.files[gone.source], gone.number),
                                 place_text(p_.files.files[kept.source], kept.number), d.likeness});
    }
    for (const auto& [source, count] : by_source) {
      counts.sources.push_back({p_.files.files[source].path, count});
    }
  }

  Preparation& p_;
  TextEncoder encoder_;
  std::optional<NearDuplicates> near_;
  std::vector<Seen> seen_;  // in the order of near_
  std::vector<std::int32_t> ids_;
  PrepareState state_;
};

}  // namespace

Status survey(Preparation& preparation) { return Survey(preparation).run(); }

}  // namespace belay::data
