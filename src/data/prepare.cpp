#include "data/prepare.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "data/prepare_pass.h"

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
  return {};
}

Status no_training_text(const PrepareFiles& files) {
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
  BELAY_ASSIGN_OR_RETURN(SourceList valid, find_sources(env, options.valid_inputs));
  BELAY_ASSIGN_OR_RETURN(SourceList train, find_sources(env, options.inputs));
  PrepareFiles files;
  files.n_valid = valid.files.size();
  files.files = std::move(valid.files);
  files.files.insert(files.files.end(), train.files.begin(), train.files.end());
  std::vector<std::string> skipped = std::move(valid.skipped);
  skipped.insert(skipped.end(), train.skipped.begin(), train.skipped.end());

  std::optional<PreparePass> pass;
  pass.emplace(threads, env, tokenizer, options, files, std::nullopt);
  BELAY_RETURN_IF_ERROR(pass->run(stop, on_progress));
  const bool lacks_one =
      pass->part(Split::kTrain).documents == 0 || pass->part(Split::kValid).documents == 0;
  if (lacks_one && options.valid_fraction > 0 && files.n_valid == 0) {
    if (const auto held_out = held_out_of(*pass, options.valid_fraction)) {
      pass.emplace(threads, env, tokenizer, options, files, held_out);
      BELAY_RETURN_IF_ERROR(pass->run(stop, on_progress));
    }
  }
  if (pass->part(Split::kTrain).documents == 0) return no_training_text(files);
  return pass->finish(std::move(skipped));
}

}  // namespace belay::data
