#include "data/dataset_choices.h"

#include <fmt/core.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace belay::data {
namespace {

using base::JsonReader;
using base::Status;
using nlohmann::ordered_json;

constexpr double kMostDouble = 1e18;

ordered_json near_duplicates_json(const NearDuplicateCounts& n) {
  ordered_json sources = ordered_json::array(), examples = ordered_json::array();
  for (const auto& s : n.sources) {
    sources.push_back({{"file", s.file},
                       {"documents", s.dropped.documents},
                       {"text_bytes", s.dropped.text_bytes}});
  }
  for (const auto& e : n.examples) {
    examples.push_back({{"dropped", e.dropped}, {"kept", e.kept}, {"likeness", e.likeness}});
  }
  return {{"threshold", n.threshold},           {"documents", n.dropped.documents},
          {"text_bytes", n.dropped.text_bytes}, {"from_training", n.from_training},
          {"sources", std::move(sources)},      {"examples", std::move(examples)}};
}

/// Calls read(entry) for every element of the list under `key`.
Status each(const JsonReader& object, std::string_view key,
            const std::function<Status(const JsonReader&)>& read) {
  BELAY_ASSIGN_OR_RETURN(const JsonReader list, object.require(key));
  if (!list.node().is_array()) {
    return object.error(base::Code::kCorrupt, key, "is not an array");
  }
  for (std::size_t i = 0; i < list.node().size(); ++i) {
    BELAY_RETURN_IF_ERROR(read(list.element(i)));
  }
  return {};
}

Status read_count(const JsonReader& object, DroppedCount& count) {
  BELAY_ASSIGN_OR_RETURN(count.documents, object.require_int("documents", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(count.text_bytes, object.require_int("text_bytes", 0, kMostCounted));
  return {};
}

Status read_filter(const JsonReader& entry, DatasetManifest& m) {
  FilterCount& f = m.filters.emplace_back();
  BELAY_ASSIGN_OR_RETURN(f.rule, entry.require_string("rule"));
  BELAY_ASSIGN_OR_RETURN(f.limit, entry.require_double("limit", 0, kMostDouble));
  return read_count(entry, f.dropped);
}

Status read_near_duplicates(const JsonReader& object, NearDuplicateCounts& n) {
  BELAY_ASSIGN_OR_RETURN(n.threshold, object.require_double("threshold", 0, 1));
  BELAY_RETURN_IF_ERROR(read_count(object, n.dropped));
  BELAY_ASSIGN_OR_RETURN(n.from_training, object.require_int("from_training", 0, kMostCounted));
  BELAY_RETURN_IF_ERROR(each(object, "sources", [&n](const JsonReader& entry) -> Status {
    auto& source = n.sources.emplace_back();
    BELAY_ASSIGN_OR_RETURN(source.file, entry.require_string("file"));
    return read_count(entry, source.dropped);
  }));
  return each(object, "examples", [&n](const JsonReader& entry) -> Status {
    auto& example = n.examples.emplace_back();
    BELAY_ASSIGN_OR_RETURN(example.dropped, entry.require_string("dropped"));
    BELAY_ASSIGN_OR_RETURN(example.kept, entry.require_string("kept"));
    BELAY_ASSIGN_OR_RETURN(example.likeness, entry.require_double("likeness", 0, 1));
    return {};
  });
}

Status read_source(const JsonReader& entry, DatasetManifest& m) {
  MixtureSource& s = m.mixture.emplace_back();
  BELAY_ASSIGN_OR_RETURN(s.pattern, entry.require_string("pattern"));
  BELAY_ASSIGN_OR_RETURN(s.share, entry.require_double("share", 0, 1));
  BELAY_ASSIGN_OR_RETURN(s.files, entry.require_int("files", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(s.documents, entry.require_int("documents", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(s.held_tokens, entry.require_int("held_tokens", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(s.epochs, entry.require_double("epochs", 0, kMostDouble));
  BELAY_ASSIGN_OR_RETURN(s.tokens, entry.require_int("tokens", 0, kMostCounted));
  BELAY_ASSIGN_OR_RETURN(s.unique_tokens, entry.require_int("unique_tokens", 0, kMostCounted));
  return {};
}

}  // namespace

void add_choices(const DatasetManifest& m, ordered_json& object) {
  for (const FilterCount& f : m.filters) {
    object["filters"].push_back({{"rule", f.rule},
                                 {"limit", f.limit},
                                 {"documents", f.dropped.documents},
                                 {"text_bytes", f.dropped.text_bytes}});
  }
  if (m.near_duplicates.threshold > 0) {
    object["near_duplicates"] = near_duplicates_json(m.near_duplicates);
  }
  for (const MixtureSource& s : m.mixture) {
    object["mixture"].push_back({{"pattern", s.pattern},
                                 {"share", s.share},
                                 {"files", s.files},
                                 {"documents", s.documents},
                                 {"held_tokens", s.held_tokens},
                                 {"epochs", s.epochs},
                                 {"tokens", s.tokens},
                                 {"unique_tokens", s.unique_tokens}});
  }
}

Status read_choices(const JsonReader& object, DatasetManifest& m) {
  if (object.has("filters")) {
    BELAY_RETURN_IF_ERROR(
        each(object, "filters", [&m](const JsonReader& entry) { return read_filter(entry, m); }));
  }
  if (object.has("near_duplicates")) {
    BELAY_ASSIGN_OR_RETURN(const JsonReader near, object.require_object("near_duplicates"));
    BELAY_RETURN_IF_ERROR(read_near_duplicates(near, m.near_duplicates));
  }
  if (!object.has("mixture")) return {};
  return each(object, "mixture", [&m](const JsonReader& entry) { return read_source(entry, m); });
}

}  // namespace belay::data
