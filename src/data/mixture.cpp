#include "data/mixture.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;

constexpr double kMostEpochs = 1000;
constexpr std::size_t kMostNamesShown = 8;
constexpr const char* kWhere = "--weight";

bool glob(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string names_of(const PrepareFiles& files) {
  std::string names;
  for (std::size_t i = files.n_valid; i < files.files.size(); ++i) {
    if (i - files.n_valid == kMostNamesShown) return names + ", ...";
    names += (names.empty() ? "" : ", ") + base::printable(files.files[i].path);
  }
  return names;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view path) {
  while (pattern.ends_with('/')) pattern.remove_suffix(1);
  for (std::size_t begin = 0; begin <= path.size();) {
    for (std::size_t end = begin; end <= path.size(); ++end) {
      if (end < path.size() && path[end] != '/') continue;
      if (glob(pattern, path.substr(begin, end - begin))) return true;
    }
    const std::size_t slash = path.find('/', begin);
    if (slash == std::string_view::npos) break;
    begin = slash + 1;
  }
  return false;
}

Result<Mixture> Mixture::parse(const std::vector<std::string>& weights, std::int64_t total_tokens,
                               std::uint64_t seed, const PrepareFiles& files) {
  Mixture mixture;
  mixture.n_valid_ = files.n_valid;
  mixture.total_tokens_ = total_tokens;
  mixture.seed_ = seed;
  if (total_tokens < 0 || (total_tokens > 0 && weights.empty())) {
    return base::invalid_argument(
        {.where = "--train-tokens",
         .what = total_tokens < 0 ? "is out of range" : "needs weights",
         .seen = std::to_string(total_tokens),
         .allowed = total_tokens < 0 ? "0 and more" : "",
         .next = total_tokens < 0 ? "" : "say which sources make them up: --weight '*=1'"});
  }
  for (const std::string& weight : weights) BELAY_RETURN_IF_ERROR(mixture.add_pattern(weight));
  if (weights.empty()) return mixture;
  double sum = 0;
  for (const Part& part : mixture.parts_) sum += part.source.share;
  for (Part& part : mixture.parts_) part.source.share /= sum;
  BELAY_RETURN_IF_ERROR(mixture.place_files(files));
  return mixture;
}

Status Mixture::add_pattern(const std::string& weight) {
  const std::size_t equals = weight.rfind('=');
  double value = 0;
  bool good = equals != std::string::npos && equals > 0;
  if (good) {
    const char* const end = weight.data() + weight.size();
    const auto [stop, error] = std::from_chars(weight.data() + equals + 1, end, value);
    good = error == std::errc() && stop == end && std::isfinite(value) && value > 0;
  }
  if (!good) {
    return base::invalid_argument({.where = kWhere,
                                   .what = "is not of the form PATTERN=WEIGHT",
                                   .seen = base::printable(weight),
                                   .allowed = "a weight above 0, as in books=0.3"});
  }
  parts_.emplace_back().source = {.pattern = weight.substr(0, equals), .share = value};
  return {};
}

Status Mixture::place_files(const PrepareFiles& files) {
  part_of_.assign(files.files.size(), 0);
  for (std::size_t i = files.n_valid; i < files.files.size(); ++i) {
    const auto found = std::find_if(parts_.begin(), parts_.end(), [&](const Part& part) {
      return matches(part.source.pattern, files.files[i].path);
    });
    if (found == parts_.end()) {
      return base::invalid_argument({.where = files.files[i].path,
                                     .what = "has no weight: no pattern matches it",
                                     .next = "add --weight NAME=W, or --weight '*=W' as the last "
                                             "one for all that is left"});
    }
    part_of_[i] = static_cast<std::size_t>(found - parts_.begin());
    ++found->source.files;
  }
  for (const Part& part : parts_) {
    if (part.source.files > 0) continue;
    return base::invalid_argument(
        {.where = kWhere,
         .what = "matches no file for training that no pattern before it matches",
         .seen = base::printable(part.source.pattern),
         .allowed = names_of(files)});
  }
  return {};
}

std::uint64_t Mixture::order_of(const Document& document) const {
  const base::Rng rng(seed_, base::Purpose::kMixture, document.xxh3);
  return std::uint64_t{rng.bits(0)} << 32 | rng.bits(1);
}

void Mixture::count(const Document& document, std::int64_t tokens) {
  const auto& [record, source, place] = document.from;
  parts_[part_of_[source]].entries.push_back({order_of(document),
                                              static_cast<std::uint32_t>(source),
                                              static_cast<std::uint32_t>(place), tokens});
}

Status Mixture::plan(const Selection& selection) {
  double total = 0;
  for (Part& part : parts_) {
    std::erase_if(part.entries, [&selection](const Entry& e) {
      return selection.fate_at(e.source, e.place) != Fate::kKept;
    });
    part.source.documents = static_cast<std::int64_t>(part.entries.size());
    for (const Entry& e : part.entries) part.source.held_tokens += e.tokens;
    total += static_cast<double>(part.source.held_tokens);
  }
  if (total_tokens_ > 0) total = static_cast<double>(total_tokens_);
  for (Part& part : parts_) BELAY_RETURN_IF_ERROR(plan_part(part, part.source.share * total));
  return {};
}

/// tokens: that the part shall have.
Status Mixture::plan_part(Part& part, double tokens) {
  MixtureSource& source = part.source;
  const std::string where = fmt::format("{} {}", kWhere, base::printable(source.pattern));
  if (source.held_tokens == 0) {
    return base::invalid_argument({.where = where,
                                   .what = "has no text left for training",
                                   .next = "leave it out, or lower --valid-fraction"});
  }
  const auto held = static_cast<double>(source.held_tokens);
  source.epochs = tokens / held;
  if (source.epochs > kMostEpochs) {
    return base::invalid_argument({.where = where,
                                   .what = "would be repeated too often",
                                   .seen = fmt::format("{:.0f} epochs", source.epochs),
                                   .allowed = fmt::format("at most {:.0f}", kMostEpochs),
                                   .next = "lower its weight, or set --train-tokens"});
  }
  part.whole = static_cast<std::int64_t>(source.epochs);
  std::sort(part.entries.begin(), part.entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.order, std::pair(a.source, a.place)) <
           std::pair(b.order, std::pair(b.source, b.place));
  });
  // The first documents in this order, up to the one whose end lies nearest to what is wanted.
  const double wanted = tokens - static_cast<double>(part.whole) * held;
  // At least one, so that no source is lost.
  std::size_t n = 0;
  for (double taken = 0; n < part.entries.size(); ++n) {
    const double after = taken + static_cast<double>(part.entries[n].tokens);
    const bool farther = std::abs(after - wanted) >= std::abs(taken - wanted);
    if (farther && (n > 0 || part.whole > 0)) break;
    taken = after;
  }
  part.below = n == 0                    ? 0
               : n < part.entries.size() ? part.entries[n].order
                                         : std::numeric_limits<std::uint64_t>::max();
  part.entries = {};
  return {};
}

std::int64_t Mixture::copies(const Document& document) const {
  if (empty()) return 1;
  const Part& part = parts_[part_of_[document.from.source]];
  return part.whole + (order_of(document) < part.below ? 1 : 0);
}

std::int64_t Mixture::rounds() const {
  std::int64_t most = 1;
  for (const Part& part : parts_) most = std::max(most, part.whole + (part.below > 0 ? 1 : 0));
  return most;
}

std::vector<bool> Mixture::read_in(std::int64_t round) const {
  if (round == 0) return {};
  std::vector<bool> wanted(part_of_.size());
  for (std::size_t i = n_valid_; i < wanted.size(); ++i) {
    const Part& part = parts_[part_of_[i]];
    wanted[i] = part.whole + (part.below > 0 ? 1 : 0) > round;
  }
  return wanted;
}

void Mixture::begin_writing() {
  for (Part& part : parts_) part.source.tokens = part.source.unique_tokens = 0;
}

void Mixture::wrote(std::size_t source, std::int64_t tokens, std::int64_t round) {
  if (empty()) return;
  MixtureSource& to = parts_[part_of_[source]].source;
  to.tokens += tokens;
  if (round == 0) to.unique_tokens += tokens;
}

void Mixture::report(DatasetManifest& manifest) const {
  for (const Part& part : parts_) manifest.mixture.push_back(part.source);
}

}  // namespace belay::data
