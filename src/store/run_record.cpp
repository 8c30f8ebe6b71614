#include "store/run_record.h"

#include <cmath>

#include "base/json.h"

namespace belay::store {
namespace {

using base::Result;
using nlohmann::json;

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxMetricsBytes = std::uint64_t{1} << 30;
constexpr base::JsonLimits kLineLimits{.max_bytes = std::uint64_t{1} << 20, .max_depth = 8};

const json* find(const json& object, std::initializer_list<std::string_view> path) {
  const json* node = &object;
  for (const std::string_view key : path) {
    if (!node->is_object()) return nullptr;
    const auto found = node->find(std::string(key));
    if (found == node->end()) return nullptr;
    node = &*found;
  }
  return node;
}

/// Drops the lines that a new one computes again: after a resume, all from its step on.
void drop_repeated(std::vector<json>& lines, const json& line) {
  const auto step = number_at(line, {"step"});
  if (!step || lines.empty()) return;
  const double last = number_at(lines.back(), {"step"}).value_or(-1);
  if (*step < last) {
    std::erase_if(lines,
                  [&](const json& old) { return number_at(old, {"step"}).value_or(-1) >= *step; });
  } else if (*step == last && line.contains("loss") && lines.back().contains("loss")) {
    lines.pop_back();
  }
}

}  // namespace

std::optional<double> number_at(const json& object, std::initializer_list<std::string_view> path) {
  const json* node = find(object, path);
  if (node == nullptr || !node->is_number()) return std::nullopt;
  const double value = node->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<std::string> text_at(const json& object,
                                   std::initializer_list<std::string_view> path) {
  const json* node = find(object, path);
  if (node == nullptr || !node->is_string()) return std::nullopt;
  return node->get<std::string>();
}

bool is_run_folder(base::Env& env, const std::string& folder) {
  return env.is_directory(folder) && env.exists(base::join_path(folder, "run.json"));
}

Result<json> read_manifest(base::Env& env, const std::string& folder) {
  const std::string path = base::join_path(folder, "run.json");
  if (!env.exists(path)) {
    return base::not_found({.where = folder,
                            .what = "is not a run folder: it holds no run.json",
                            .next = "name a folder that belay pretrain wrote (--out)"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxManifestBytes));
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader reader, base::parse_json(text, path));
  if (!reader.is_object()) {
    return base::corrupt({.where = path, .what = "is not an object", .allowed = "{...}"});
  }
  return reader.node();
}

std::vector<json> parse_metrics(std::string_view text, std::int64_t& unreadable_lines) {
  std::vector<json> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const auto parsed = base::parse_json(line, "metrics.jsonl", kLineLimits);
    if (!parsed.ok() || !parsed->is_object()) {
      ++unreadable_lines;
      continue;
    }
    drop_repeated(lines, parsed->node());
    lines.push_back(parsed->node());
  }
  return lines;
}

Result<RunRecord> read_run(base::Env& env, const std::string& folder) {
  RunRecord run;
  std::string plain = folder;
  while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  run.folder = plain;
  run.name = base::base_name(plain);
  BELAY_ASSIGN_OR_RETURN(run.manifest, read_manifest(env, plain));
  const std::string path = base::join_path(plain, "metrics.jsonl");
  if (!env.exists(path)) return run;
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxMetricsBytes));
  run.metrics = parse_metrics(text, run.unreadable_lines);
  return run;
}

}  // namespace belay::store
