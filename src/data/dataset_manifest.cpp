#include "data/dataset_manifest.h"

#include <fmt/core.h>

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "base/hash.h"
#include "base/json.h"
#include "data/dataset_choices.h"

namespace belay::data {
namespace {

using base::JsonReader;
using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "belay dataset";
constexpr std::int64_t kVersion = 1;
constexpr std::size_t kMostFiles = std::size_t{1} << 24;
constexpr base::JsonLimits kLimits{.max_bytes = std::uint64_t{1} << 30, .max_depth = 8};
// The text ends in `"xxh3":"0123456789abcdef"}` and a line end; the checksum is of all before it.
constexpr std::string_view kSealBegin = "\"xxh3\":\"";
constexpr std::string_view kSealEnd = "\"}\n";
constexpr std::size_t kSealBytes = kSealBegin.size() + 16 + kSealEnd.size();

std::uint64_t xxh3_of(std::string_view text) {
  return base::xxh3_64(std::as_bytes(std::span(text)));
}

ordered_json files_json(const std::vector<DatasetManifest::File>& files) {
  ordered_json list = ordered_json::array();
  for (const auto& file : files) {
    list.push_back({{"file", file.name}, {"bytes", file.bytes}, {"xxh3", base::hex64(file.xxh3)}});
  }
  return list;
}

ordered_json part_json(const DatasetManifest::Part& part) {
  return {{"documents", part.documents},
          {"tokens", part.tokens},
          {"text_bytes", part.text_bytes},
          {"shards", files_json(part.shards)}};
}

Status check_seal(std::string_view text, const std::string& file) {
  std::optional<std::uint64_t> stored;
  if (text.size() > kSealBytes) {
    const std::string_view seal = text.substr(text.size() - kSealBytes);
    if (seal.starts_with(kSealBegin) && seal.ends_with(kSealEnd)) {
      stored = base::parse_hex64(seal.substr(kSealBegin.size(), 16));
    }
  }
  const std::string next = "prepare the data again";
  if (!stored) {
    return base::corrupt({.where = file,
                          .what = "is cut off or damaged: it does not end in its checksum",
                          .next = next});
  }
  const std::uint64_t seen = xxh3_of(text.substr(0, text.size() - kSealBytes));
  if (seen == *stored) return {};
  return base::corrupt({.where = file,
                        .what = "was changed or damaged: its checksum does not match",
                        .seen = base::hex64(seen),
                        .allowed = base::hex64(*stored),
                        .next = next});
}

Result<std::uint64_t> hash_of(const JsonReader& object, std::string_view key) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, object.require_string(key));
  const auto value = base::parse_hex64(text);
  if (value) return *value;
  return object.error(base::Code::kCorrupt, key, "is no checksum", "16 hexadecimal digits");
}

Result<std::vector<DatasetManifest::File>> files_of(const JsonReader& object, std::string_view key,
                                                    const std::string& file) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader list, object.require(key));
  if (!list.node().is_array()) {
    return object.error(base::Code::kCorrupt, key, "is not an array");
  }
  std::vector<DatasetManifest::File> files;
  for (std::size_t i = 0; i < list.node().size(); ++i) {
    const JsonReader entry(std::make_shared<const nlohmann::json>(list.node()[i]), file,
                           fmt::format("{}[{}]", key, i));
    DatasetManifest::File& f = files.emplace_back();
    BELAY_ASSIGN_OR_RETURN(f.name, entry.require_string("file"));
    if (f.name.empty() || f.name.front() == '.' || f.name.find('/') != std::string::npos ||
        f.name.find('\0') != std::string::npos) {
      return entry.error(base::Code::kCorrupt, "file", "is not the name of a file in the folder");
    }
    BELAY_ASSIGN_OR_RETURN(const std::int64_t bytes, entry.require_int("bytes", 0, kMostCounted));
    f.bytes = static_cast<std::uint64_t>(bytes);
    BELAY_ASSIGN_OR_RETURN(f.xxh3, hash_of(entry, "xxh3"));
  }
  return files;
}

Result<DatasetManifest::Part> part_of(const JsonReader& splits, Split split,
                                      const std::string& file) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader object, splits.require_object(split_name(split)));
  DatasetManifest::Part part;
  BELAY_ASSIGN_OR_RETURN(part.documents, object.require_int("documents", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(part.tokens, object.require_int("tokens", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(part.text_bytes, object.require_int("text_bytes", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(part.shards, files_of(object, "shards", file));
  return part;
}

Status read_tokenizer(const JsonReader& root, const std::string& file, DatasetManifest& m) {
  constexpr std::int64_t kMostIds = std::numeric_limits<std::int32_t>::max();
  BELAY_ASSIGN_OR_RETURN(const JsonReader object, root.require_object("tokenizer"));
  BELAY_ASSIGN_OR_RETURN(m.tokenizer, hash_of(object, "fingerprint"));
  BELAY_ASSIGN_OR_RETURN(m.vocab_size, object.require_int("vocab_size", 1, kMostIds));
  if (object.has("end_of_text")) {
    BELAY_ASSIGN_OR_RETURN(const std::int64_t id,
                           object.require_int("end_of_text", 0, m.vocab_size - 1));
    m.end_of_text = static_cast<std::int32_t>(id);
  }
  BELAY_ASSIGN_OR_RETURN(m.tokenizer_files, files_of(object, "files", file));
  return {};
}

/// What only reports need.
Status read_history(const JsonReader& root, DatasetManifest& m) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader made, root.require_object("prepared"));
  BELAY_ASSIGN_OR_RETURN(m.field, made.require_string("field"));
  BELAY_ASSIGN_OR_RETURN(m.valid_fraction, made.require_double("valid_fraction", 0, 1));
  BELAY_ASSIGN_OR_RETURN(m.valid_given, made.require_bool("valid_given"));
  BELAY_ASSIGN_OR_RETURN(m.held_out, made.require_string("held_out"));
  BELAY_ASSIGN_OR_RETURN(m.duplicates, made.require_int("duplicates", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(m.duplicate_bytes, made.require_int("duplicate_bytes", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(m.empty, made.require_int("empty", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(m.cut, made.require_int("cut", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(const JsonReader skipped, made.require("skipped"));
  BELAY_ASSIGN_OR_RETURN(m.skipped, skipped.strings(kMostFiles));
  return read_choices(made, m);
}

}  // namespace

std::string_view split_name(Split split) { return split == Split::kTrain ? "train" : "valid"; }

std::string manifest_text(const DatasetManifest& m) {
  const ordered_json end_of_text = m.end_of_text ? ordered_json(*m.end_of_text) : ordered_json();
  ordered_json splits = ordered_json::object();
  for (const Split split : kSplits)
    splits[std::string(split_name(split))] = part_json(m.part(split));
  if (!m.mixture.empty()) splits["train"]["unique_tokens"] = m.unique_train_tokens;
  ordered_json prepared = {{"field", m.field},
                           {"valid_fraction", m.valid_fraction},
                           {"valid_given", m.valid_given},
                           {"held_out", m.held_out},
                           {"duplicates", m.duplicates},
                           {"duplicate_bytes", m.duplicate_bytes},
                           {"empty", m.empty},
                           {"cut", m.cut},
                           {"skipped", m.skipped}};
  add_choices(m, prepared);
  const ordered_json json = {{"format", kFormat},
                             {"version", kVersion},
                             {"tokenizer",
                              {{"fingerprint", base::hex64(m.tokenizer)},
                               {"vocab_size", m.vocab_size},
                               {"end_of_text", end_of_text},
                               {"files", files_json(m.tokenizer_files)}}},
                             {"splits", std::move(splits)},
                             {"prepared", std::move(prepared)},
                             {"sources", m.sources}};
  // Names of files are bytes; those that are not UTF-8 are shown, not kept.
  std::string text = json.dump(1, ' ', false, ordered_json::error_handler_t::replace);
  text.resize(text.size() - 2);  // "\n}"
  text += ",\n ";
  return text + std::string(kSealBegin) + base::hex64(xxh3_of(text)) + std::string(kSealEnd);
}

Result<DatasetManifest> parse_manifest(std::string_view text, const std::string& file) {
  BELAY_RETURN_IF_ERROR(check_seal(text, file));
  BELAY_ASSIGN_OR_RETURN(const JsonReader root, base::parse_json(text, file, kLimits));
  BELAY_ASSIGN_OR_RETURN(const std::string format, root.require_string("format"));
  if (format != kFormat) {
    return root.error(base::Code::kCorrupt, "format", "is not a dataset's", std::string(kFormat));
  }
  BELAY_ASSIGN_OR_RETURN(const std::int64_t version, root.require_int("version", 0, kMostCounted));
  if (version != kVersion) {
    return root.error(base::Code::kUnsupported, "version", "is not known to this program",
                      std::to_string(kVersion), "prepare the data again");
  }
  DatasetManifest m;
  BELAY_RETURN_IF_ERROR(read_tokenizer(root, file, m));
  BELAY_ASSIGN_OR_RETURN(const JsonReader splits, root.require_object("splits"));
  for (const Split split : kSplits) {
    BELAY_ASSIGN_OR_RETURN(m.part(split), part_of(splits, split, file));
  }
  const std::int64_t tokens = m.part(Split::kTrain).tokens;
  BELAY_ASSIGN_OR_RETURN(const JsonReader train, splits.require_object("train"));
  BELAY_ASSIGN_OR_RETURN(m.unique_train_tokens,
                         train.optional_int("unique_tokens", 0, tokens, tokens));
  BELAY_RETURN_IF_ERROR(read_history(root, m));
  BELAY_ASSIGN_OR_RETURN(const JsonReader sources, root.require("sources"));
  BELAY_ASSIGN_OR_RETURN(m.sources, sources.strings(kMostFiles));
  return m;
}

}  // namespace belay::data
