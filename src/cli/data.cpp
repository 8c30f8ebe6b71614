// belay data: text to token shards, and what is in them.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/progress.h"
#include "base/units.h"
#include "cli/columns.h"
#include "cli/compute.h"
#include "cli/data_report.h"
#include "cli/interrupt.h"
#include "cli/verbs.h"
#include "data/prepare.h"
#include "data/summary.h"

namespace belay::cli {
namespace {

using base::Result;
using data::Split;
using nlohmann::ordered_json;

constexpr std::int64_t kMostSamples = 1000;
constexpr std::int64_t kBarWidth = 40;

struct PrepareArguments {
  data::PrepareOptions prepare;
  std::string tokenizer;
  int threads = 0;
  bool json = false;
};

struct ShowArguments {
  std::string folder, split = "train";
  std::int64_t samples = 3, sample_tokens = 40;
  std::uint64_t seed = 1;
  bool json = false;
};

Result<ExitCode> run_prepare(Verbs& verbs, const PrepareArguments& a) {
  text::Tokenizer tokenizer = text::Tokenizer::bytes();
  if (!a.tokenizer.empty()) {
    BELAY_ASSIGN_OR_RETURN(tokenizer, text::Tokenizer::load(verbs.env, a.tokenizer));
  }
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute({.threads = a.threads}));
  base::Progress progress(verbs.env);
  const double start = verbs.env.steady_seconds();
  const auto state_of = [&](const data::PrepareState& s, const std::string& counter) {
    const double seconds = std::max(1e-9, verbs.env.steady_seconds() - start);
    return base::Progress::State{s.fraction, counter, static_cast<double>(s.text_bytes) / seconds,
                                 "B/s", std::nullopt};
  };
  data::PrepareState last;
  const auto counter = [&last] {
    return fmt::format("{} documents, {} tokens", last.documents,
                       base::count_text(static_cast<double>(last.tokens)));
  };
  BELAY_ASSIGN_OR_RETURN(const data::DatasetManifest manifest,
                         data::prepare(*compute.threads, verbs.env, tokenizer, a.prepare,
                                       interrupted(), [&](const data::PrepareState& s) {
                                         last = s;
                                         if (s.fraction < 1)
                                           progress.update(state_of(s, counter()));
                                       }));
  last.fraction = 1;
  progress.finish(state_of(last, counter()));
  for (const std::string& warning : manifest_warnings(manifest)) verbs.log.warn("{}", warning);
  if (a.json) {
    ordered_json json = {{"out", a.prepare.out}};
    json.update(manifest_json(manifest));
    json["seconds"] = verbs.env.steady_seconds() - start;
    print_json(json);
  } else {
    fmt::print("{}saved in {}\n", manifest_report(manifest), a.prepare.out);
  }
  return ExitCode::kDone;
}

ordered_json summary_json(const data::SplitSummary& s) {
  ordered_json lengths = ordered_json::array();
  for (const data::LengthBucket& b : s.lengths) {
    lengths.push_back({{"from", b.least}, {"below", 2 * b.least}, {"documents", b.documents}});
  }
  return {
      {"documents", s.documents},
      {"tokens", s.tokens},
      {"text_bytes", s.text_bytes},
      {"bytes_per_token", ratio(s.text_bytes, s.tokens)},
      {"ids_used", s.ids_used},
      {"document_tokens", {{"shortest", s.shortest}, {"median", s.median}, {"longest", s.longest}}},
      {"lengths", std::move(lengths)}};
}

std::string histogram_text(const data::SplitSummary& s) {
  std::int64_t most = 1;
  for (const data::LengthBucket& b : s.lengths) most = std::max(most, b.documents);
  std::string text;
  for (const data::LengthBucket& b : s.lengths) {
    const std::int64_t bar = (b.documents * kBarWidth + most - 1) / most;
    text += fmt::format("{:>12} to {:<12}{:>10}  {}\n", b.least, 2 * b.least - 1, b.documents,
                        std::string(static_cast<std::size_t>(bar), '#'));
  }
  return text;
}

base::Status check(const ShowArguments& a) {
  if (a.split != "train" && a.split != "valid") {
    return base::invalid_argument({.where = "--split",
                                   .what = "is not known",
                                   .seen = base::printable(a.split),
                                   .allowed = "train, valid"});
  }
  for (const auto& [name, value] :
       {std::pair{"--samples", a.samples}, {"--sample-tokens", a.sample_tokens}}) {
    BELAY_RETURN_IF_ERROR(check_range(name, value, 0, kMostSamples));
  }
  return {};
}

Result<ExitCode> run_show(Verbs& verbs, const ShowArguments& a) {
  BELAY_RETURN_IF_ERROR(check(a));
  BELAY_ASSIGN_OR_RETURN(const data::Dataset dataset, data::Dataset::open(verbs.env, a.folder));
  const data::DatasetManifest& manifest = *dataset.manifest();
  const Split split = a.split == "train" ? Split::kTrain : Split::kValid;
  const data::SplitSummary summary = data::summarize(dataset.split(split), dataset.vocab_size());
  const std::vector<data::Sample> samples =
      data::draw_samples(dataset, split, a.samples, a.sample_tokens, a.seed);
  if (a.json) {
    ordered_json json = {{"folder", a.folder}, {"fingerprint", base::hex64(dataset.fingerprint())}};
    json.update(manifest_json(manifest));
    json["sources"] = manifest.sources;
    json[a.split].update(summary_json(summary));
    json["samples"] = ordered_json::array();
    for (const data::Sample& s : samples) {
      json["samples"].push_back({{"where", s.where}, {"tokens", s.tokens}, {"text", s.text}});
    }
    print_json(json);
    return ExitCode::kDone;
  }
  fmt::print("{}: {} ids, of which {} occur in {}; made of {} files\n\n{}", a.folder,
             dataset.vocab_size(), summary.ids_used, a.split, manifest.sources.size(),
             manifest_report(manifest));
  fmt::print("\ntokens a document in {}: shortest {}, median {}, longest {}\n{}", a.split,
             summary.shortest, summary.median, summary.longest, histogram_text(summary));
  for (const data::Sample& s : samples) {
    fmt::print("\n{} ({} tokens)\n  {}\n", one_line(s.where), s.tokens, one_line(s.text));
  }
  return ExitCode::kDone;
}

void add_prepare(Verbs& verbs, Verb parent) {
  auto arguments = std::make_shared<PrepareArguments>();
  PrepareArguments& a = *arguments;
  Verb verb = verbs.add(
      parent,
      {.name = "prepare",
       .about = "Text files, folders and JSON lines to token shards",
       .examples = {"data prepare --tokenizer tok --out shards corpus.txt",
                    "data prepare --tokenizer tok --out shards --field text books/ web.jsonl.zst",
                    "data prepare --out shards --valid-file heldout.txt corpus.txt.xz",
                    "data prepare --out shards --quality gopher --near-duplicates 0.8 web/",
                    "data prepare --out shards --weight web=0.7 --weight books=0.3 web/ books/"}},
      [&verbs, arguments] { return run_prepare(verbs, *arguments); });
  verb.option("text", a.prepare.inputs,
              "Text files, .jsonl files and folders of them; each also as .gz, .xz or .zst")
      .required()
      .type("PATH");
  verb.option("--tokenizer", a.tokenizer,
              "tokenizer.json or a folder with one; without it a token is a byte")
      .type("PATH");
  verb.option("--out", a.prepare.out, "Folder of the dataset; one that is there is replaced")
      .required()
      .type("DIR");
  verb.option("--field", a.prepare.field, "Field of JSON lines that holds the text");
  verb.option("--valid-fraction", a.prepare.valid_fraction,
              "Share of the documents kept for validation, by the hash of their text");
  verb.option("--valid-file", a.prepare.valid_inputs,
              "Validate on this file or folder instead; may be given several times")
      .one_at_a_time()
      .type("PATH");
  verb.option("--near-duplicates", a.prepare.near_duplicates,
              "Keep one of documents that share so much of their runs of five words: 0.8; 0: all");
  verb.option("--quality", a.prepare.quality, "Drop what breaks a set of rules: gopher");
  verb.option("--filter", a.prepare.filters,
              "Rules by name, as min-words=20,max-bullets,min-stop-words=off; see docs/data.md")
      .one_at_a_time()
      .type("RULES");
  verb.option("--dropped", a.prepare.dropped, "Write what was dropped, and why, to this file")
      .type("FILE");
  verb.option(
          "--weight", a.prepare.weights,
          "Share of training tokens of the files that a pattern matches; several make a mixture")
      .one_at_a_time()
      .type("PATTERN=W");
  verb.option("--train-tokens", a.prepare.train_tokens,
              "Of the mixture; 0: as many as its sources hold");
  verb.option("--seed", a.prepare.seed, "Of which documents of a source are taken in part");
  verb.option("--threads", a.threads, "Threads; 0: all that this process may use");
  verb.flag("--json", a.json, "Print one JSON document");
}

void add_show(Verbs& verbs, Verb parent) {
  auto arguments = std::make_shared<ShowArguments>();
  ShowArguments& a = *arguments;
  Verb verb = verbs.add(parent,
                        {.name = "show",
                         .about = "What a dataset holds: counts, lengths, samples",
                         .examples = {"data show shards", "data show shards --json",
                                      "data show shards --split valid --samples 10 --seed 3"}},
                        [&verbs, arguments] { return run_show(verbs, *arguments); });
  verb.option("dataset", a.folder, "Folder that belay data prepare made").required().type("DIR");
  verb.option("--split", a.split, "Of which lengths and samples are shown: train or valid");
  verb.option("--samples", a.samples, "Documents whose begin is shown");
  verb.option("--sample-tokens", a.sample_tokens, "Tokens of each");
  verb.option("--seed", a.seed, "Of the choice of samples");
  verb.flag("--json", a.json, "Print one JSON document");
}

}  // namespace

void add_data(Verbs& verbs) {
  Verb verb = verbs.add(
      {.name = "data",
       .about = "Text to token shards, and what is in them",
       .examples = {"data prepare --tokenizer tok --out shards corpus.txt", "data show shards"}},
      []() -> Result<ExitCode> {
        return base::invalid_argument({.what = "belay data needs to know what to do",
                                       .allowed = "prepare, show",
                                       .next = "see belay data --help"});
      });
  add_prepare(verbs, verb);
  add_show(verbs, verb);
}

}  // namespace belay::cli
