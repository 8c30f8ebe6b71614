#include "report/climb_record.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"
#include "report/parts.h"
#include "store/run_record.h"

namespace belay::report {
namespace {

using nlohmann::json;
using store::text_at;

constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxRungs = 2000;
constexpr std::size_t kMaxNameBytes = 120, kMaxTextBytes = 4000;

std::string short_text(const json& object, std::string_view key, std::size_t most) {
  return std::string(cut(text_at(object, {key}).value_or(""), most));
}

Rung rung_of(const json& object) {
  Rung rung;
  rung.name = short_text(object, "name", kMaxNameBytes);
  rung.row = size_at(object, {"row"}, 0);
  rung.params = size_at(object, {"params"}, 1);
  rung.tokens = size_at(object, {"tokens"}, 1);
  rung.flops = size_at(object, {"flops"}, 1);
  rung.seconds = size_at(object, {"seconds"}, 0);
  rung.loss = size_at(object, {"val_loss"});
  rung.bpb = size_at(object, {"val_bpb"});
  rung.excluded = short_text(object, "excluded", kMaxNameBytes);
  rung.sample = sample_at(object, {"sample"});
  return rung;
}

/// The fit tells reasons too, by the name of the rung.
void add_reasons(std::vector<Rung>& rungs, const json& document) {
  const auto fit = document.find("fit");
  if (fit == document.end() || !fit->is_object()) return;
  const auto list = fit->find("excluded");
  if (list == fit->end() || !list->is_array()) return;
  std::map<std::string, std::string> reasons;
  for (const json& one : *list) {
    if (!one.is_object()) continue;
    const std::string reason = short_text(one, "reason", kMaxNameBytes);
    reasons[short_text(one, "name", kMaxNameBytes)] = reason.empty() ? "not said" : reason;
  }
  for (Rung& rung : rungs) {
    const auto found = reasons.find(rung.name);
    if (found != reasons.end() && rung.excluded.empty()) rung.excluded = found->second;
  }
}

std::optional<forecast::LossLaw> law_of(const json& document) {
  const auto value = [&](std::string_view name, double least) {
    return size_at(document, {"fit", name, "value"}, least);
  };
  const auto E = value("E", 0), A = value("A", 0), B = value("B", 0), alpha = value("alpha", 1e-3),
             beta = value("beta", 1e-3);
  if (!E || !A || !B || !alpha || !beta || *alpha > 10 || *beta > 10) return std::nullopt;
  return forecast::LossLaw{.E = *E,
                           .A = *A,
                           .B = *B,
                           .alpha = *alpha,
                           .beta = *beta,
                           .r_star = size_at(document, {"fit", "r_star"}, 1e-3)};
}

std::vector<SizeCost> costs_of(const std::vector<Rung>& rungs) {
  std::map<double, double> costs;
  for (const Rung& rung : rungs) {
    if (rung.params && rung.tokens && rung.flops) {
      costs[*rung.params] = *rung.flops / (*rung.params * *rung.tokens);
    }
  }
  std::vector<SizeCost> list;
  for (const auto& [n, cost] : costs) {
    if (cost > 0.1 && cost < 1e4) list.push_back({n, cost});
  }
  return list;
}

}  // namespace

std::optional<double> size_at(const json& object, std::initializer_list<std::string_view> path,
                              double least) {
  const auto value = store::number_at(object, path);
  return value && *value >= least && *value <= 1e36 ? value : std::nullopt;
}

std::optional<Sample> sample_at(const json& object, std::initializer_list<std::string_view> path) {
  const json* node = &object;
  for (const std::string_view key : path) {
    if (!node->is_object()) return std::nullopt;
    const auto found = node->find(std::string(key));
    if (found == node->end()) return std::nullopt;
    node = &*found;
  }
  if (!text_at(*node, {"text"})) return std::nullopt;
  return Sample{short_text(*node, "prompt", kMaxTextBytes),
                short_text(*node, "text", kMaxTextBytes)};
}

Climb climb_of(std::string name, json document) {
  Climb climb{.name = std::move(name), .document = std::move(document)};
  const auto list = climb.document.find("rungs");
  if (list != climb.document.end() && list->is_array()) {
    for (const json& one : *list) {
      if (!one.is_object()) continue;
      if (climb.rungs.size() == kMaxRungs) {
        ++climb.n_left_out;
      } else {
        climb.rungs.push_back(rung_of(one));
      }
    }
  }
  std::stable_sort(climb.rungs.begin(), climb.rungs.end(), [](const Rung& a, const Rung& b) {
    return std::pair(a.flops.value_or(0), a.params.value_or(0)) <
           std::pair(b.flops.value_or(0), b.params.value_or(0));
  });
  add_reasons(climb.rungs, climb.document);
  if (const auto law = law_of(climb.document)) {
    climb.law.emplace(*law, size_at(climb.document, {"data", "train", "tokens"}, 1).value_or(0),
                      costs_of(climb.rungs));
    for (Rung& rung : climb.rungs) {
      if (rung.params && rung.tokens) rung.law = climb.law->loss(*rung.params, *rung.tokens);
    }
  }
  return climb;
}

base::Result<Climb> read_climb(base::Env& env, const std::string& folder) {
  std::string plain = folder;
  while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  const std::string path = base::join_path(plain, "climb.json");
  if (!env.exists(path)) {
    return base::not_found({.where = plain,
                            .what = "is not the folder of a climb: it holds no climb.json",
                            .next = "name a folder that belay climb wrote"});
  }
  BELAY_ASSIGN_OR_RETURN(const std::string text, env.read_file(path, kMaxBytes));
  BELAY_ASSIGN_OR_RETURN(const base::JsonReader reader, base::parse_json(text, path));
  if (!reader.is_object()) {
    return base::corrupt({.where = path, .what = "is not an object", .allowed = "{...}"});
  }
  return climb_of(base::base_name(plain), reader.node());
}

}  // namespace belay::report
