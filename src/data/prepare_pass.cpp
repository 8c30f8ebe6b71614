#include "data/prepare_pass.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/units.h"
#include "data/utf8.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

/// Where the last `bytes` of a text begin, moved to the begin of a line where there is one.
std::size_t tail_begin(std::string_view text, std::size_t bytes) {
  const std::size_t at = text.size() - std::min(bytes, text.size());
  const std::size_t line_end = text.find('\n', at);
  if (line_end != std::string_view::npos && line_end + 1 < text.size()) return line_end + 1;
  return character_begin(text, at);
}

double stored_bytes(const std::vector<SourceFile>& files, const std::vector<bool>& wanted) {
  double bytes = 1;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (wanted.empty() || wanted[i]) bytes += static_cast<double>(files[i].bytes);
  }
  return bytes;
}

}  // namespace

Status Preparation::check_stop() const {
  if (!stop.load()) return {};
  return base::cancelled({.where = options.out, .what = "was not written: interrupted"});
}

PreparePass::PreparePass(Preparation& preparation, std::optional<HeldOut> held_out)
    : p_(preparation),
      held_out_(held_out),
      writer_(p_.env, p_.options.out, p_.tokenizer, p_.options.shard_tokens),
      encoder_(p_.threads, p_.tokenizer) {}

Status PreparePass::run(bool surveyed) {
  BELAY_RETURN_IF_ERROR(writer_.begin());
  if (!p_.options.dropped.empty()) {
    BELAY_ASSIGN_OR_RETURN(DroppedLog log, DroppedLog::open(p_.env, p_.options.dropped));
    dropped_.emplace(std::move(log));
  }
  p_.mixture.begin_writing();
  work_before_ = surveyed ? 0.5 : 0;
  for (std::int64_t r = 0; r < p_.mixture.rounds(); ++r) {
    bytes_in_all_ += stored_bytes(p_.files.files, p_.mixture.read_in(r));
  }
  for (std::int64_t r = 0; r < p_.mixture.rounds(); ++r) BELAY_RETURN_IF_ERROR(run_round(r));
  return {};
}

Status PreparePass::run_round(std::int64_t round) {
  round_ = round;
  const std::vector<bool> wanted = p_.mixture.read_in(round);
  const bool judge = !p_.selection.decided() || dropped_;  // the log tells the value
  DocumentBatches batches(p_.threads, p_.env, p_.files.files,
                          {.field = p_.options.field,
                           .quality = judge ? &p_.quality : nullptr,
                           .quality_from = p_.files.n_valid},
                          wanted);
  for (bool more = true; more;) {
    BELAY_ASSIGN_OR_RETURN(more, batches.next());
    BELAY_RETURN_IF_ERROR(choose(batches.documents()));
    encoder_.run();
    BELAY_RETURN_IF_ERROR(write());
    BELAY_RETURN_IF_ERROR(p_.check_stop());
    report(batches.bytes_read());
  }
  bytes_before_ += stored_bytes(p_.files.files, wanted);
  return p_.selection.end_reading(wanted);
}

void PreparePass::report(std::uint64_t bytes_read) {
  PrepareState state;
  const double done = (bytes_before_ + static_cast<double>(bytes_read)) / bytes_in_all_;
  state.fraction = work_before_ + (1 - work_before_) * done;
  for (const Split split : kSplits) {
    state.documents += part(split).documents;
    state.text_bytes += part(split).text_bytes;
    state.tokens += part(split).tokens;
  }
  p_.on_progress(state);
}

Result<DatasetManifest> PreparePass::finish() {
  if (dropped_) BELAY_RETURN_IF_ERROR(dropped_->commit());
  DatasetManifest made;
  for (const SourceFile& file : p_.files.files) made.sources.push_back(file.path);
  made.field = p_.options.field;
  made.valid_fraction = p_.options.valid_fraction;
  made.valid_given = p_.files.n_valid > 0;
  made.held_out = held_out_text_;
  made.skipped = p_.files.skipped;
  made.unique_train_tokens = unique_train_tokens_;
  made.near_duplicates = p_.near_counts;
  p_.selection.report(made);
  p_.mixture.report(made);
  return writer_.finish(std::move(made));
}

/// Which documents are written, and for what; the first fault ends the work.
Status PreparePass::choose(const std::vector<Document>& documents) {
  pieces_.clear();
  encoder_.clear();
  for (const Document& document : documents) {
    BELAY_ASSIGN_OR_RETURN(const Fate fate, p_.selection.fate_of(document));
    if (fate == Fate::kKept) {
      add_pieces(document);
    } else if (dropped_ && round_ == 0 && document.counts) {
      BELAY_RETURN_IF_ERROR(log_dropped(document, fate));
    }
  }
  return {};
}

Status PreparePass::log_dropped(const Document& document, Fate fate) {
  std::optional<DroppedLog::Kept> kept;
  if (fate == Fate::kNearDuplicate) {
    const auto place = std::pair(document.from.source, document.from.place);
    const auto pair = std::lower_bound(
        p_.near_pairs.begin(), p_.near_pairs.end(), place, [](const NearPair& a, const auto& b) {
          return std::pair(std::size_t{a.source}, std::size_t{a.place}) < b;
        });
    kept = DroppedLog::Kept{place_text(p_.files.files[pair->kept_source], pair->kept_number),
                            pair->likeness};
  }
  return dropped_->add(document, p_.files, fate, p_.quality, kept);
}

void PreparePass::add_pieces(const Document& document) {
  const bool held_out = is_held_out(document);
  const std::size_t head =
      held_out ? tail_begin(document.text, held_out_->bytes) : document.text.size();
  const Split split = held_out_ ? Split::kTrain : p_.selection.split_of(document);
  const std::int64_t copies = split == Split::kTrain ? p_.mixture.copies(document) : 1;
  if (round_ < copies) add_piece(document, split, 0, head);
  if (round_ > 0) return;
  add_piece(document, Split::kValid, head, document.text.size() - head);
  if (copies > 0 && document.from.source >= p_.files.n_valid &&
      (!longest_ || document.text.size() > longest_->document_bytes)) {
    longest_ = {document.from.source, document.from.record.number, document.from.record.begin,
                document.text.size(), 0};
  }
}

bool PreparePass::is_held_out(const Document& document) const {
  const auto& [record, source, place] = document.from;
  return held_out_ && source == held_out_->source && record.number == held_out_->number &&
         record.begin == held_out_->begin;
}

void PreparePass::add_piece(const Document& document, Split split, std::size_t begin,
                            std::size_t bytes) {
  if (bytes == 0) return;
  encoder_.add(std::string_view(document.text).substr(begin, bytes));
  pieces_.push_back({&document, split, begin, bytes});
}

Status PreparePass::write() {
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    encoder_.document(i, ids_);
    BELAY_RETURN_IF_ERROR(write(pieces_[i]));
  }
  return {};
}

Status PreparePass::write(const Piece& piece) {
  if (ids_.empty()) return {};  // a normalizer may leave nothing
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const SourcedRecord& from = piece.document->from;
  const SourceFile& file = p_.files.files[from.source];
  if (piece.begin > 0) {
    held_out_text_ = fmt::format("the last {} of {}, document {}", base::bytes_text(piece.bytes),
                                 file.path, from.record.number);
  }
  if (piece.split == Split::kTrain) {
    const auto tokens = static_cast<std::int64_t>(ids_.size());
    p_.mixture.wrote(from.source, tokens, round_);
    if (round_ == 0) unique_train_tokens_ += tokens;
  }
  const std::uint64_t text_begin = file.form == Form::kJsonLines ? 0 : from.record.begin;
  return writer_.add(piece.split, ids_,
                     {.text_bytes = piece.bytes,
                      .text_begin = text_begin + piece.begin,
                      .source = static_cast<std::uint32_t>(from.source),
                      .number = static_cast<std::uint32_t>(std::min(from.record.number, kMost))});
}

}  // namespace belay::data
