#include "data/prepare_pass.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/hash.h"
#include "base/units.h"
#include "data/record_text.h"
#include "data/utf8.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

// Records that are in memory at a time.
constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
constexpr std::size_t kBatchRecords = std::size_t{1} << 16;
// A long text is tokenized in blocks of about this size, so that threads can share it.
constexpr std::size_t kBlockBytes = std::size_t{1} << 18;

/// Where the last `bytes` of a text begin, moved to the begin of a line where there is one.
std::size_t tail_begin(std::string_view text, std::size_t bytes) {
  const std::size_t at = text.size() - std::min(bytes, text.size());
  const std::size_t line_end = text.find('\n', at);
  if (line_end != std::string_view::npos && line_end + 1 < text.size()) return line_end + 1;
  return character_begin(text, at);
}

}  // namespace

/// A document on its way.
struct PreparePass::Item {
  SourcedRecord from;
  Status fault;
  std::string text;
  bool counts = true;  // false: nothing at all, a blank line between lines of JSON
  bool kept = false;
  std::uint64_t xxh3 = 0;
};

/// A document to be written: an item's text, or a part of it where its end is held out.
struct PreparePass::Piece {
  const Item* item = nullptr;
  Split split = Split::kTrain;
  std::size_t begin = 0, bytes = 0;  // of the item's text
  std::size_t end_block = 0;  // its blocks end here, and begin where those of the one before end
};

/// A part of a text that is tokenized by itself.
struct PreparePass::Block {
  std::string_view text;
  std::vector<std::int32_t> ids;
};

PreparePass::PreparePass(base::ThreadPool& threads, base::Env& env,
                         const text::Tokenizer& tokenizer, const PrepareOptions& options,
                         const PrepareFiles& files, std::optional<HeldOut> held_out)
    : threads_(threads),
      env_(env),
      tokenizer_(tokenizer),
      options_(options),
      files_(files),
      held_out_(held_out),
      writer_(env, options.out, tokenizer, options.shard_tokens) {}

PreparePass::~PreparePass() = default;

Status PreparePass::run(const std::atomic<bool>& stop,
                        const std::function<void(const PrepareState&)>& on_progress) {
  BELAY_RETURN_IF_ERROR(writer_.begin());
  std::uint64_t total_bytes = 1;
  for (const SourceFile& file : files_.files) total_bytes += file.bytes;
  SourceReader reader(env_, files_.files);
  for (bool more = true; more;) {
    BELAY_ASSIGN_OR_RETURN(more, fill(reader));
    each(items_, [this](Item& item) { examine(item); });
    BELAY_RETURN_IF_ERROR(choose());
    each(blocks_, [this](Block& block) { tokenizer_.encode(block.text, block.ids); });
    BELAY_RETURN_IF_ERROR(write());
    if (stop.load()) {
      return base::cancelled({.where = options_.out, .what = "was not written: interrupted"});
    }
    PrepareState state;
    state.fraction = static_cast<double>(reader.bytes_read()) / static_cast<double>(total_bytes);
    for (const Split split : kSplits) {
      state.documents += part(split).documents;
      state.text_bytes += part(split).text_bytes;
      state.tokens += part(split).tokens;
    }
    on_progress(state);
  }
  return {};
}

Result<DatasetManifest> PreparePass::finish(std::vector<std::string> skipped) {
  for (const SourceFile& file : files_.files) history_.sources.push_back(file.path);
  history_.field = options_.field;
  history_.valid_fraction = options_.valid_fraction;
  history_.valid_given = files_.n_valid > 0;
  history_.skipped = std::move(skipped);
  return writer_.finish(std::move(history_));
}

template <class T, class Body>
void PreparePass::each(std::vector<T>& list, Body&& body) {
  threads_.parallel(static_cast<std::int64_t>(list.size()),
                    [&](std::int64_t i, int) { body(list[static_cast<std::size_t>(i)]); });
}

/// The next records; false when none follow them.
Result<bool> PreparePass::fill(SourceReader& reader) {
  items_.clear();
  for (std::size_t bytes = 0; bytes < kBatchBytes && items_.size() < kBatchRecords;) {
    BELAY_ASSIGN_OR_RETURN(std::optional<SourcedRecord> record, reader.next());
    if (!record) return false;
    bytes += record->record.bytes.size();
    items_.emplace_back().from = std::move(*record);
  }
  return true;
}

/// Fills in the text of a record, or its fault.
void PreparePass::examine(Item& item) const {
  Record& record = item.from.record;
  const SourceFile& file = files_.files[item.from.source];
  if (file.form == Form::kJsonLines) item.counts = !is_blank(record.bytes);
  auto text = text_of_record(record, file, options_.field);
  item.fault = text.status();
  record.bytes = {};
  if (!text.ok()) return;
  item.text = std::move(*text);
  item.kept = !is_blank(item.text);
  if (item.kept) item.xxh3 = base::xxh3_64(std::as_bytes(std::span(item.text)));
}

/// Which documents are kept, and for what; the first fault ends the work.
Status PreparePass::choose() {
  pieces_.clear();
  blocks_.clear();
  for (const Item& item : items_) {
    if (!item.fault.ok()) return item.fault;
    if (item.from.record.cut) ++history_.cut;
    if (!item.kept) {
      history_.empty += item.counts ? 1 : 0;
      continue;
    }
    if (!seen_.insert(item.xxh3).second) {
      ++history_.duplicates;
      history_.duplicate_bytes += static_cast<std::int64_t>(item.text.size());
      continue;
    }
    const std::size_t head =
        is_held_out(item) ? tail_begin(item.text, held_out_->bytes) : item.text.size();
    add_piece(item, split_of(item), 0, head);
    add_piece(item, Split::kValid, head, item.text.size() - head);
    if (item.from.source >= files_.n_valid &&
        (!longest_ || item.text.size() > longest_->document_bytes)) {
      longest_ = {item.from.source, item.from.record.number, item.from.record.begin,
                  item.text.size(), 0};
    }
  }
  return {};
}

Split PreparePass::split_of(const Item& item) const {
  if (item.from.source < files_.n_valid) return Split::kValid;
  if (files_.n_valid > 0 || held_out_) return Split::kTrain;
  const double place = static_cast<double>(item.xxh3) * 0x1p-64;
  return place < options_.valid_fraction ? Split::kValid : Split::kTrain;
}

bool PreparePass::is_held_out(const Item& item) const {
  const Record& record = item.from.record;
  return held_out_ && item.from.source == held_out_->source && record.number == held_out_->number &&
         record.begin == held_out_->begin;
}

void PreparePass::add_piece(const Item& item, Split split, std::size_t begin, std::size_t bytes) {
  if (bytes == 0) return;
  std::string_view text = std::string_view(item.text).substr(begin, bytes);
  while (text.size() > 2 * kBlockBytes) {
    const std::size_t cut = tokenizer_.safe_cut(text.substr(0, kBlockBytes));
    if (cut == 0) break;
    blocks_.push_back({text.substr(0, cut), {}});
    text.remove_prefix(cut);
  }
  blocks_.push_back({text, {}});
  pieces_.push_back({&item, split, begin, bytes, blocks_.size()});
}

Status PreparePass::write() {
  std::size_t block = 0;
  for (const Piece& piece : pieces_) {
    ids_.clear();
    if (const auto id = tokenizer_.end_of_text()) ids_.push_back(*id);
    for (; block < piece.end_block; ++block) {
      ids_.insert(ids_.end(), blocks_[block].ids.begin(), blocks_[block].ids.end());
    }
    BELAY_RETURN_IF_ERROR(write(piece));
  }
  return {};
}

Status PreparePass::write(const Piece& piece) {
  if (ids_.empty()) return {};  // a normalizer may leave nothing
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const SourcedRecord& from = piece.item->from;
  const auto& [path, form, file_bytes] = files_.files[from.source];
  if (piece.begin > 0) {
    history_.held_out = fmt::format("the last {} of {}, document {}", base::bytes_text(piece.bytes),
                                    path, from.record.number);
  }
  const std::uint64_t text_begin = form == Form::kJsonLines ? 0 : from.record.begin;
  return writer_.add(piece.split, ids_,
                     {.text_bytes = piece.bytes,
                      .text_begin = text_begin + piece.begin,
                      .source = static_cast<std::uint32_t>(from.source),
                      .number = static_cast<std::uint32_t>(std::min(from.record.number, kMost))});
}

}  // namespace belay::data
