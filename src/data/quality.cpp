#include "data/quality.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"

namespace belay::data {
namespace {

using base::Result;
using base::Status;
using For = QualityRule::For;

// Limits of Gopher: Rae et al. 2021, A1.1 and table A1; of the last two: Penedo et al. 2024. What
// is cheap comes first.
constexpr QualityRule kRules[] = {
    {"min-words", 50, true, Measure::kWords},
    {"max-words", 100000, true, Measure::kWords},
    {"min-mean-word", 3, true, Measure::kMeanWord, 0, For::kLongWords},
    {"max-mean-word", 10, true, Measure::kMeanWord, 0, For::kLongWords},
    {"max-symbols", 0.1, true, Measure::kSymbols},
    {"min-alphabetic", 0.8, true, Measure::kAlphabetic},
    {"min-stop-words", 2, true, Measure::kStopWords, 0, For::kLatin},
    {"max-bullets", 0.9, true, Measure::kBullets},
    {"max-ellipses", 0.3, true, Measure::kEllipses},
    {"max-repeated-lines", 0.3, true, Measure::kRepeatedLines},
    {"max-repeated-paragraphs", 0.3, true, Measure::kRepeatedParagraphs},
    {"max-repeated-line-bytes", 0.2, true, Measure::kRepeatedLineBytes},
    {"max-repeated-paragraph-bytes", 0.2, true, Measure::kRepeatedParagraphBytes},
    {"max-top-2gram", 0.2, true, Measure::kTopNgram, 2},
    {"max-top-3gram", 0.18, true, Measure::kTopNgram, 3},
    {"max-top-4gram", 0.16, true, Measure::kTopNgram, 4},
    {"max-repeated-5grams", 0.15, true, Measure::kRepeatedNgrams, 5},
    {"max-repeated-6grams", 0.14, true, Measure::kRepeatedNgrams, 6},
    {"max-repeated-7grams", 0.13, true, Measure::kRepeatedNgrams, 7},
    {"max-repeated-8grams", 0.12, true, Measure::kRepeatedNgrams, 8},
    {"max-repeated-9grams", 0.11, true, Measure::kRepeatedNgrams, 9},
    {"max-repeated-10grams", 0.1, true, Measure::kRepeatedNgrams, 10},
    {"min-ended-lines", 0.12, false, Measure::kEndedLines},
    {"max-short-lines", 0.67, false, Measure::kShortLines},
};

Status unknown_rule(std::string_view name) {
  std::vector<std::string_view> names;
  std::string all;
  for (const QualityRule& rule : kRules) {
    names.push_back(rule.name);
    all += (all.empty() ? "" : ", ") + std::string(rule.name);
  }
  const auto near = base::nearest(name, names);
  return base::invalid_argument({.where = "--filter",
                                 .what = "is not the name of a rule",
                                 .seen = base::printable(name),
                                 .allowed = all,
                                 .next = near ? "did you mean " + *near + "?" : ""});
}

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

std::span<const QualityRule> quality_rules() { return kRules; }

Result<QualityFilter> QualityFilter::parse(const std::string& preset,
                                           const std::vector<std::string>& filters) {
  QualityFilter filter;
  if (preset == "gopher") {
    for (const QualityRule& rule : kRules) {
      if (rule.gopher) filter.limits_.push_back({&rule, rule.limit});
    }
  } else if (!preset.empty()) {
    return base::invalid_argument({.where = "--quality",
                                   .what = "is not known",
                                   .seen = base::printable(preset),
                                   .allowed = "gopher",
                                   .next = "single rules are given with --filter"});
  }
  for (const std::string& list : filters) {
    std::string_view rest = list;
    while (true) {
      const std::size_t comma = rest.find(',');
      BELAY_RETURN_IF_ERROR(filter.add(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  std::sort(filter.limits_.begin(), filter.limits_.end(),
            [](const Limit& a, const Limit& b) { return a.rule < b.rule; });
  return filter;
}

Status QualityFilter::add(std::string_view item) {
  const std::size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const auto* rule = std::find_if(std::begin(kRules), std::end(kRules),
                                  [name](const QualityRule& r) { return r.name == name; });
  if (rule == std::end(kRules)) return unknown_rule(name);
  std::erase_if(limits_, [rule](const Limit& limit) { return limit.rule == rule; });
  if (equals == std::string_view::npos) {
    limits_.push_back({rule, rule->limit});
    return {};
  }
  const std::string_view value = item.substr(equals + 1);
  if (value == "off") return {};
  const auto number = number_of(value);
  if (!number) {
    return base::invalid_argument({.where = fmt::format("--filter {}", name),
                                   .what = "is not a limit",
                                   .seen = base::printable(value),
                                   .allowed = "a number from 0 on, or off"});
  }
  limits_.push_back({rule, *number});
  return {};
}

std::optional<QualityFilter::Broken> QualityFilter::broken_by(std::string_view text) const {
  if (limits_.empty()) return std::nullopt;
  TextMeasures measures(text);
  for (std::size_t i = 0; i < limits_.size(); ++i) {
    const auto& [rule, limit] = limits_[i];
    if (rule->texts == For::kLongWords && measures.is_dense()) continue;
    if (rule->texts == For::kLatin && !measures.is_latin()) continue;
    const double value = measures.of(rule->measure, rule->n);
    if (rule->is_least() ? value < limit : value > limit) return Broken{i, value};
  }
  return std::nullopt;
}

}  // namespace belay::data
