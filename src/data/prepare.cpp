#include "data/prepare.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "data/prepare_pass.h"
#include "data/survey.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

Status check(const PrepareOptions& o) {
  if (o.inputs.empty()) {
    return base::invalid_argument({.what = "no text was given", .next = "name files or folders"});
  }
  if (o.out.empty()) {
    return base::invalid_argument({.what = "no folder was given", .next = "use --out FOLDER"});
  }
  if (!(o.valid_fraction >= 0 && o.valid_fraction <= 0.5)) {
    return base::invalid_argument({.where = "--valid-fraction",
                                   .what = "is out of range",
                                   .seen = fmt::format("{}", o.valid_fraction),
                                   .allowed = "0 to 0.5"});
  }
  const double near = o.near_duplicates;
  if (!(near == 0 || (near >= kLeastLikeness && near <= 1))) {
    return base::invalid_argument({.where = "--near-duplicates",
                                   .what = "is out of range",
                                   .seen = fmt::format("{}", near),
                                   .allowed = fmt::format("0, or {} to 1", kLeastLikeness)});
  }
  if (!o.dropped.empty() && base::parent_dir(o.dropped) == base::parent_dir(o.out + "/x")) {
    return base::invalid_argument({.where = "--dropped",
                                   .what = "lies in the folder of the dataset",
                                   .seen = base::printable(o.dropped),
                                   .next = "name a file elsewhere"});
  }
  return {};
}

Result<PrepareFiles> find_files(base::Env& env, const PrepareOptions& options) {
  BELAY_ASSIGN_OR_RETURN(SourceList valid, find_sources(env, options.valid_inputs));
  BELAY_ASSIGN_OR_RETURN(SourceList train, find_sources(env, options.inputs));
  PrepareFiles files{std::move(valid.files), 0, std::move(valid.skipped)};
  files.n_valid = files.files.size();
  files.files.insert(files.files.end(), train.files.begin(), train.files.end());
  files.skipped.insert(files.skipped.end(), train.skipped.begin(), train.skipped.end());
  return files;
}

Status no_training_text(const PrepareFiles& files, const PrepareOptions& options) {
  if (options.near_duplicates > 0 || !options.quality.empty() || !options.filters.empty()) {
    return base::invalid_argument(
        {.where = files.files[files.n_valid].path,
         .what = "and what follows it hold no text for training that is kept",
         .next = "see why with --dropped FILE, and relax --filter or --near-duplicates"});
  }
  return base::corrupt({.where = files.files[files.n_valid].path,
                        .what = files.n_valid == 0
                                    ? "and what follows it hold no text"
                                    : "and what follows it hold no text that is not also in the "
                                      "files for validation"});
}

/// The end of the longest document that makes the fraction asked for of all text; at most its half.
std::optional<HeldOut> held_out_of(const PreparePass& pass, double fraction) {
  std::optional<HeldOut> held_out = pass.longest();
  if (!held_out || held_out->document_bytes < 2) return std::nullopt;
  double bytes = 0;
  for (const Split split : kSplits) bytes += static_cast<double>(pass.part(split).text_bytes);
  const auto wanted = static_cast<std::size_t>(bytes * fraction);
  held_out->bytes = std::clamp<std::size_t>(wanted, 1, held_out->document_bytes / 2);
  return held_out;
}

}  // namespace

Result<DatasetManifest> prepare(base::ThreadPool& threads, base::Env& env,
                                const text::Tokenizer& tokenizer, const PrepareOptions& options,
                                const std::atomic<bool>& stop,
                                const std::function<void(const PrepareState&)>& on_progress) {
  BELAY_RETURN_IF_ERROR(check(options));
  BELAY_ASSIGN_OR_RETURN(const QualityFilter quality,
                         QualityFilter::parse(options.quality, options.filters));
  BELAY_ASSIGN_OR_RETURN(const PrepareFiles files, find_files(env, options));
  BELAY_ASSIGN_OR_RETURN(
      Mixture mixture, Mixture::parse(options.weights, options.train_tokens, options.seed, files));
  Preparation preparation{.threads = threads,
                          .env = env,
                          .tokenizer = tokenizer,
                          .options = options,
                          .files = files,
                          .quality = quality,
                          .selection = Selection(files, quality, options.valid_fraction),
                          .mixture = std::move(mixture),
                          .stop = stop,
                          .on_progress = on_progress};
  const bool surveyed = options.near_duplicates > 0 || !options.weights.empty();
  if (surveyed) {
    // Before the work, and not only after it.
    BELAY_RETURN_IF_ERROR(DatasetWriter(env, options.out, tokenizer).begin());
    BELAY_RETURN_IF_ERROR(survey(preparation));
  }
  std::optional<PreparePass> pass;
  pass.emplace(preparation, std::nullopt);
  BELAY_RETURN_IF_ERROR(pass->run(surveyed));
  const bool lacks_one =
      pass->part(Split::kTrain).documents == 0 || pass->part(Split::kValid).documents == 0;
  if (lacks_one && options.valid_fraction > 0 && files.n_valid == 0) {
    if (const auto held_out = held_out_of(*pass, options.valid_fraction)) {
      pass.emplace(preparation, held_out);
      BELAY_RETURN_IF_ERROR(pass->run(surveyed));
    }
  }
  if (pass->part(Split::kTrain).documents == 0) return no_training_text(files, options);
  return pass->finish();
}

}  // namespace belay::data
