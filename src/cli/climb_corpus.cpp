#include "cli/climb_corpus.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/threads.h"
#include "base/units.h"
#include "cli/interrupt.h"
#include "cli/tokenizer_train.h"
#include "data/embedded_corpus.h"
#include "data/prepare.h"
#include "data/sources.h"

namespace belay::cli {
namespace {

using base::join_path;
using base::Result;
using base::Status;

constexpr std::size_t kValidBytes = 320'000;  // enough for a loss to 0.2 %, and quick to score
constexpr double kLeastValid = 0.002, kMostValid = 0.05;

/// The embedded novels as files, with the beginning of the held-out ones for validation.
Status write_novels(base::Env& env, const std::string& folder) {
  BELAY_RETURN_IF_ERROR(env.create_dirs(folder));
  data::Corpus novels = data::embedded_corpus();
  const std::size_t cut = novels.valid.find('\n', kValidBytes);
  if (cut != std::string::npos) novels.valid.resize(cut + 1);
  BELAY_RETURN_IF_ERROR(
      base::write_file_atomic(env, join_path(folder, "novels.txt"), novels.train));
  return base::write_file_atomic(env, join_path(folder, "heldout.txt"), novels.valid);
}

/// The share of a corpus that is kept for validation: about kValidBytes of it.
Result<double> valid_fraction(base::Env& env, const std::vector<std::string>& inputs) {
  BELAY_ASSIGN_OR_RETURN(const data::SourceList sources, data::find_sources(env, inputs));
  double bytes = 1;
  for (const data::SourceFile& file : sources.files) bytes += static_cast<double>(file.bytes);
  return std::clamp(static_cast<double>(kValidBytes) / bytes, kLeastValid, kMostValid);
}

}  // namespace

Result<std::string> climb_data(Verbs& verbs, const ClimbCorpus& c) {
  base::Env& env = verbs.env;
  const auto prepared = [&](const std::string& folder) {
    return env.exists(join_path(folder, data::kManifestName));
  };
  if (!c.corpus.empty() && prepared(c.corpus)) return c.corpus;
  const std::string shards = join_path(c.folder, "shards");
  if (prepared(shards)) return shards;
  data::PrepareOptions prepare{.inputs = {c.corpus}, .out = shards};
  if (c.corpus.empty()) {
    const std::string texts = join_path(c.folder, "corpus");
    BELAY_RETURN_IF_ERROR(write_novels(env, texts));
    prepare.inputs = {join_path(texts, "novels.txt")};
    prepare.valid_inputs = {join_path(texts, "heldout.txt")};
  } else {
    BELAY_ASSIGN_OR_RETURN(prepare.valid_fraction, valid_fraction(env, prepare.inputs));
  }
  TokenizerTraining training;
  training.inputs = prepare.inputs;
  training.train.vocab_size = c.vocab_size;
  training.threads = c.threads;
  BELAY_ASSIGN_OR_RETURN(const TrainedTokenizer trained, train_tokenizer(verbs, training));
  BELAY_RETURN_IF_ERROR(trained.tokenizer.save(env, join_path(c.folder, "tokenizer")));
  base::ThreadPool pool(c.threads == 0 ? base::usable_cpus() : c.threads);
  BELAY_ASSIGN_OR_RETURN(const data::DatasetManifest made,
                         data::prepare(pool, env, trained.tokenizer, prepare, interrupted(),
                                       [](const data::PrepareState&) {}));
  verbs.log.info(
      "data     {} tokens of a vocabulary of {}, made of {} of text",
      made.part(data::Split::kTrain).tokens, made.vocab_size,
      base::bytes_text(static_cast<std::uint64_t>(made.part(data::Split::kTrain).text_bytes)));
  return shards;
}

}  // namespace belay::cli
