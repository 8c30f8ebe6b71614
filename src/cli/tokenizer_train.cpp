#include "cli/tokenizer_train.h"

#include <fmt/format.h>

#include "base/progress.h"
#include "base/threads.h"
#include "data/record_text.h"
#include "data/sources.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;

// Of a corpus, in memory at a time.
constexpr std::size_t kBatchBytes = std::size_t{16} << 20, kBatchTexts = std::size_t{1} << 16;

Result<text::PieceTable> count_pieces(Verbs& verbs, const TokenizerTraining& o,
                                      const std::vector<data::SourceFile>& files,
                                      base::ThreadPool& pool, std::uint64_t& n_bytes) {
  const std::uint64_t memory = o.max_memory_gb > 0
                                   ? static_cast<std::uint64_t>(o.max_memory_gb * 1e9)
                                   : verbs.env.available_memory_bytes() / 2;
  // Training takes about three times what the counts take.
  text::PieceCounter counter(pool, o.train.split, o.train.specials, o.train.nfc, memory / 4);
  std::uint64_t stored = 1;
  for (const data::SourceFile& file : files) stored += file.bytes;
  base::Progress progress(verbs.env);
  data::SourceReader reader(verbs.env, files);
  std::vector<std::string> texts;
  for (bool more = true; more;) {
    texts.clear();
    for (std::size_t bytes = 0; more && bytes < kBatchBytes && texts.size() < kBatchTexts;) {
      BELAY_ASSIGN_OR_RETURN(auto next, reader.next());
      more = next.has_value();
      if (!more) break;
      BELAY_ASSIGN_OR_RETURN(std::string text,
                             data::text_of_record(next->record, files[next->source], o.field));
      bytes += text.size();
      texts.push_back(std::move(text));
    }
    counter.add(std::vector<std::string_view>(texts.begin(), texts.end()));
    const std::string read =
        fmt::format("counting {}/{} MB", reader.bytes_read() / 1000000, stored / 1000000);
    progress.update(
        {.fraction = 0.5 * static_cast<double>(reader.bytes_read()) / static_cast<double>(stored),
         .counter = read});
  }
  n_bytes = counter.n_text_bytes();
  if (counter.forgotten_below() > 0) {
    verbs.log.warn("pieces seen fewer than {} times were forgotten; --max-memory would keep more",
                   counter.forgotten_below());
  }
  return counter.take();
}

}  // namespace

Result<TrainedTokenizer> train_tokenizer(Verbs& verbs, TokenizerTraining o) {
  BELAY_RETURN_IF_ERROR(check_range("--threads", o.threads, 0, 1024));
  const auto split = text::split_of_name(o.split);
  if (!split) {
    return base::invalid_argument(
        {.where = "--split",
         .what = "is not known",
         .seen = o.split,
         .allowed = "gpt2, cl100k, qwen2, o200k, digits, deepseek-coder, none"});
  }
  o.train.split = *split;
  o.train.specials = o.specials;
  std::erase(o.train.specials, "");
  BELAY_RETURN_IF_ERROR(text::check_train_options(o.train));
  const double start = verbs.env.steady_seconds();
  BELAY_ASSIGN_OR_RETURN(const data::SourceList sources, data::find_sources(verbs.env, o.inputs));
  for (const std::string& skipped : sources.skipped) verbs.log.warn("skipped {}", skipped);
  if (sources.files.empty()) {
    return base::not_found({.where = o.inputs.front(), .what = "holds no text files"});
  }
  base::ThreadPool pool(o.threads == 0 ? base::usable_cpus() : o.threads);
  std::uint64_t n_bytes = 0;
  BELAY_ASSIGN_OR_RETURN(text::PieceTable pieces,
                         count_pieces(verbs, o, sources.files, pool, n_bytes));
  const std::size_t n_pieces = pieces.size();
  const double counted = verbs.env.steady_seconds();
  base::Progress progress(verbs.env);
  o.train.progress = [&](std::int64_t n) {
    progress.update(
        {.fraction = 0.5 + 0.5 * static_cast<double>(n) / static_cast<double>(o.train.vocab_size),
         .counter = fmt::format("token {}/{}", n, o.train.vocab_size),
         .unit = ""});
  };
  BELAY_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::train_bpe(std::move(pieces), o.train));
  progress.clear();
  const double done = verbs.env.steady_seconds();
  return TrainedTokenizer{std::move(tokenizer), n_bytes,         n_pieces,    sources.files.size(),
                          pool.size(),          counted - start, done - start};
}

}  // namespace belay::cli
