#include "cli/data_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/units.h"
#include "cli/columns.h"
#include "data/dataset_choices.h"
#include "data/mixture.h"
#include "data/records.h"

namespace belay::cli {
namespace {

using data::DatasetManifest;
using data::Split;
using nlohmann::ordered_json;

constexpr std::size_t kMostSources = 8, kMostExamples = 3;

std::string bytes_text(std::int64_t bytes) {
  return base::bytes_text(static_cast<std::uint64_t>(bytes));
}
std::string tokens_text(std::int64_t tokens) {
  return base::count_text(static_cast<double>(tokens));
}

ordered_json counts_json(const DatasetManifest::Part& part) {
  return {{"documents", part.documents},
          {"tokens", part.tokens},
          {"text_bytes", part.text_bytes},
          {"bytes_per_token", ratio(part.text_bytes, part.tokens)},
          {"shards", part.shards.size()}};
}

std::string counts_text(const DatasetManifest& m) {
  std::string text = fmt::format("{:8}{:>12}{:>12}{:>14}{:>14}{:>9}\n", "", "documents", "tokens",
                                 "text", "bytes/token", "shards");
  for (const Split split : data::kSplits) {
    const DatasetManifest::Part& part = m.part(split);
    text += fmt::format("{:8}{:>12}{:>12}{:>14}{:>14.3f}{:>9}\n", data::split_name(split),
                        part.documents, tokens_text(part.tokens), bytes_text(part.text_bytes),
                        ratio(part.text_bytes, part.tokens), part.shards.size());
  }
  return text;
}

std::string near_duplicates_text(const data::NearDuplicateCounts& n) {
  if (n.threshold == 0) return {};
  std::string text =
      fmt::format("dropped: {} near-duplicates (likeness from {} on), {}\n", n.dropped.documents,
                  n.threshold, bytes_text(n.dropped.text_bytes));
  if (n.from_training > 0) {
    text += fmt::format("  {} of them from training, because they are like one for validation\n",
                        n.from_training);
  }
  std::vector<data::NearDuplicateCounts::Source> sources = n.sources;
  std::stable_sort(sources.begin(), sources.end(), [](const auto& a, const auto& b) {
    return a.dropped.documents > b.dropped.documents;
  });
  for (std::size_t i = 0; i < std::min(sources.size(), kMostSources); ++i) {
    text += fmt::format("  {:>10} of {}, {}\n", sources[i].dropped.documents,
                        one_line(sources[i].file), bytes_text(sources[i].dropped.text_bytes));
  }
  for (std::size_t i = 0; i < std::min(n.examples.size(), kMostExamples); ++i) {
    text += fmt::format("  as {}, which is like {} ({:.2f})\n", one_line(n.examples[i].dropped),
                        one_line(n.examples[i].kept), n.examples[i].likeness);
  }
  return text;
}

std::string filters_text(const std::vector<data::FilterCount>& filters) {
  std::string text;
  std::int64_t documents = 0, bytes = 0;
  for (const data::FilterCount& f : filters) {
    documents += f.dropped.documents;
    bytes += f.dropped.text_bytes;
    if (f.dropped.documents == 0) continue;
    text += fmt::format("  {:>10} by {} {}, {}\n", f.dropped.documents, one_line(f.rule), f.limit,
                        bytes_text(f.dropped.text_bytes));
  }
  if (filters.empty()) return {};
  return fmt::format("dropped: {} documents by {} rules, {}\n", documents, filters.size(),
                     bytes_text(bytes)) +
         text;
}

std::string mixture_text(const DatasetManifest& m) {
  if (m.mixture.empty()) return {};
  std::string text = fmt::format("{:24}{:>8}{:>8}{:>9}{:>12}{:>12}{:>12}\n", "mixture", "asked",
                                 "share", "epochs", "held", "tokens", "unique");
  for (const data::MixtureSource& s : m.mixture) {
    text += fmt::format(
        "  {:22}{:>7.1f}%{:>7.1f}%{:>9.2f}{:>12}{:>12}{:>12}\n", one_line(s.pattern), 100 * s.share,
        100 * ratio(s.tokens, m.part(Split::kTrain).tokens), ratio(s.tokens, s.held_tokens),
        tokens_text(s.held_tokens), tokens_text(s.tokens), tokens_text(s.unique_tokens));
  }
  return text + fmt::format("  unique training tokens: {} of {}\n",
                            tokens_text(m.unique_train_tokens),
                            tokens_text(m.part(Split::kTrain).tokens));
}

}  // namespace

double ratio(std::int64_t a, std::int64_t b) {
  return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
}

ordered_json manifest_json(const DatasetManifest& m) {
  ordered_json dropped = {{"duplicates", m.duplicates},
                          {"duplicate_bytes", m.duplicate_bytes},
                          {"empty", m.empty},
                          {"skipped_files", m.skipped}};
  ordered_json choices = ordered_json::object();
  data::add_choices(m, choices);
  for (const char* name : {"filters", "near_duplicates"}) {
    if (choices.contains(name)) dropped[name] = choices[name];
  }
  ordered_json json = {
      {"tokenizer",
       {{"fingerprint", base::hex64(m.tokenizer)},
        {"vocab_size", m.vocab_size},
        {"end_of_text", m.end_of_text ? ordered_json(*m.end_of_text) : ordered_json()}}},
      {"dropped", std::move(dropped)},
      {"cut_documents", m.cut},
      {"held_out", m.held_out}};
  if (choices.contains("mixture")) json["mixture"] = choices["mixture"];
  for (const Split split : data::kSplits) {
    json[std::string(data::split_name(split))] = counts_json(m.part(split));
  }
  json["train"]["unique_tokens"] = m.unique_train_tokens;
  return json;
}

std::string manifest_report(const DatasetManifest& m) {
  std::string text = counts_text(m);
  const auto line = [&text](bool shown, const std::string& what) {
    if (shown) text += what + "\n";
  };
  line(m.duplicates > 0, fmt::format("dropped: {} exact duplicates, {}", m.duplicates,
                                     bytes_text(m.duplicate_bytes)));
  line(m.empty > 0, fmt::format("dropped: {} documents without text", m.empty));
  text += filters_text(m.filters) + near_duplicates_text(m.near_duplicates);
  line(m.cut > 0, fmt::format("cut: documents longer than {} became several, {} cuts",
                              base::bytes_text(data::kLongestDocument), m.cut));
  line(!m.held_out.empty(),
       fmt::format("validation: {}, because no document fell there by its hash", m.held_out));
  line(!m.skipped.empty(), fmt::format("skipped: {} files without text", m.skipped.size()));
  return text + mixture_text(m);
}

std::vector<std::string> manifest_warnings(const DatasetManifest& m) {
  std::vector<std::string> warnings;
  for (const std::string& file : m.skipped) warnings.push_back("skipped " + file);
  for (const data::MixtureSource& s : m.mixture) {
    const double epochs = ratio(s.tokens, s.held_tokens);
    if (epochs <= data::kManyEpochs) continue;
    warnings.push_back(
        fmt::format("{} is repeated {:.1f} times: after {} epochs text soon teaches little more "
                    "(Muennighoff et al. 2023); lower its weight or set --train-tokens",
                    one_line(s.pattern), epochs, data::kManyEpochs));
  }
  return warnings;
}

}  // namespace belay::cli
