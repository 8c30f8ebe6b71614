#include "data/prepare_pass.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/hash.h"
#include "base/units.h"
#include "data/json_lines.h"
#include "data/utf8.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

// Records that are in memory at a time.
constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
constexpr std::size_t kBatchRecords = std::size_t{1} << 16;

Status not_utf8(const std::string& path, const Record& record, std::string_view text,
                std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  return base::corrupt(
      {.where = fmt::format("{}: byte {}", path, record.begin + at),
       .what = "is not UTF-8",
       .seen = fmt::format("0x{:02X}, in line {} of document {}",
                           static_cast<unsigned char>(text[at]), line, record.number),
       .next = "convert the file to UTF-8: iconv -f WINDOWS-1252 -t UTF-8"});
}

/// The text of a document as it lies in a file.
Result<std::string> checked_text(Record& record, const std::string& path) {
  if (const std::size_t at = record.bytes.find('\0'); at != std::string::npos) {
    return base::corrupt({.where = fmt::format("{}: byte {}", path, record.begin + at),
                          .what = "is zero: the file is binary, not text",
                          .allowed = "UTF-8 text"});
  }
  if (const std::size_t at = find_invalid_utf8(record.bytes); at != std::string::npos) {
    return not_utf8(path, record, record.bytes, at);
  }
  return std::move(record.bytes);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
}

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
  Split split = Split::kTrain;
  std::size_t head_bytes = 0;  // of the text; what follows is for validation
  std::vector<std::int32_t> ids, tail_ids;
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
    each([this](Item& item) { examine(item); });
    BELAY_RETURN_IF_ERROR(choose());
    each([this](Item& item) { tokenize(item); });
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

template <class Body>
void PreparePass::each(Body&& body) {
  threads_.parallel(static_cast<std::int64_t>(items_.size()),
                    [&](std::int64_t i, int) { body(items_[static_cast<std::size_t>(i)]); });
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
  const std::string& path = files_.files[item.from.source].path;
  const bool lines = form_of(path) == Form::kJsonLines;
  if (lines) item.counts = !is_blank(record.bytes);
  auto text =
      lines ? text_of_line(record.bytes, fmt::format("{}:{}", path, record.number), options_.field)
            : checked_text(record, path);
  item.fault = text.status();
  record.bytes = {};
  if (!text.ok()) return;
  item.text = std::move(*text);
  item.kept = !is_blank(item.text);
  if (item.kept) item.xxh3 = base::xxh3_64(std::as_bytes(std::span(item.text)));
}

/// Which documents are kept, and for what; the first fault ends the work.
Status PreparePass::choose() {
  for (Item& item : items_) {
    if (!item.fault.ok()) return item.fault;
    if (item.from.record.cut) ++history_.cut;
    if (!item.kept) {
      history_.empty += item.counts ? 1 : 0;
      continue;
    }
    // The length makes a chance collision of different texts yet less likely.
    if (!seen_.insert(item.xxh3 ^ item.text.size() * 0x9E3779B97F4A7C15u).second) {
      item.kept = false;
      ++history_.duplicates;
      history_.duplicate_bytes += static_cast<std::int64_t>(item.text.size());
      continue;
    }
    item.split = split_of(item);
    item.head_bytes = item.text.size();
    if (is_held_out(item)) item.head_bytes = tail_begin(item.text, held_out_->bytes);
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

void PreparePass::tokenize(Item& item) const {
  if (!item.kept) return;
  const auto encode = [this](std::string_view text, std::vector<std::int32_t>& ids) {
    if (text.empty()) return;
    if (const auto id = tokenizer_.end_of_text()) ids.push_back(*id);
    tokenizer_.encode(text, ids);
  };
  const std::string_view text = item.text;
  encode(text.substr(0, item.head_bytes), item.ids);
  encode(text.substr(item.head_bytes), item.tail_ids);
}

Status PreparePass::write() {
  for (const Item& item : items_) {
    if (!item.kept) continue;
    BELAY_RETURN_IF_ERROR(add(item, item.split, 0, item.head_bytes, item.ids));
    if (item.head_bytes == item.text.size()) continue;
    history_.held_out = fmt::format("the last {} of {}, document {}",
                                    base::bytes_text(item.text.size() - item.head_bytes),
                                    files_.files[item.from.source].path, item.from.record.number);
    BELAY_RETURN_IF_ERROR(add(item, Split::kValid, item.head_bytes,
                              item.text.size() - item.head_bytes, item.tail_ids));
  }
  return {};
}

Status PreparePass::add(const Item& item, Split split, std::size_t begin, std::size_t bytes,
                        const std::vector<std::int32_t>& ids) {
  if (ids.empty()) return {};  // a normalizer may leave nothing
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const Record& record = item.from.record;
  const bool lines = form_of(files_.files[item.from.source].path) == Form::kJsonLines;
  return writer_.add(split, ids,
                     {.text_bytes = bytes,
                      .text_begin = (lines ? 0 : record.begin) + begin,
                      .source = static_cast<std::uint32_t>(item.from.source),
                      .number = static_cast<std::uint32_t>(std::min(record.number, kMost))});
}

}  // namespace belay::data
