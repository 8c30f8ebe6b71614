// Samples and tables of a climb: climb_sections.h.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/units.h"
#include "report/climb_sections.h"
#include "report/html.h"
#include "report/parts.h"
#include "store/run_record.h"

namespace belay::report {
namespace {

using base::count_text;
using base::duration_text;
using nlohmann::json;

constexpr std::size_t kMaxRows = 200, kMaxSamples = 200, kChosenSamples = 5;
constexpr std::size_t kSampleBytes = 420, kNextSampleBytes = 1200;

std::string duration_or_empty(std::optional<double> seconds) {
  return seconds ? duration_text(*seconds) : "";
}

/// A sample as it is told apart from others.
std::string card(const Rung& rung, std::string_view kind, bool with_prompt, std::size_t most) {
  const Sample& sample = *rung.sample;
  const std::string prompt =
      with_prompt ? "<b>" + escape(cut(sample.prompt, most)) + "</b>" : std::string();
  std::string_view text = sample.text;
  if (!with_prompt) text.remove_prefix(std::min(text.find_first_not_of(" \t\n"), text.size()));
  const std::size_t bytes = text.size();
  text = cut(text, most);
  std::string note = rung.flops ? count_text(*rung.flops) + " FLOPs" : std::string();
  if (rung.loss)
    note += (note.empty() ? "" : " &middot; ") + fmt::format("loss {:.3f}", *rung.loss);
  return fmt::format(
      "<div{}><h3>{} parameters</h3><div class=\"note\">{}</div><blockquote>{}{}{}</blockquote>"
      "</div>\n",
      kind, rung.params ? count_text(*rung.params) : "?", note, prompt, escape(text),
      text.size() < bytes ? "&nbsp;&hellip;" : "");
}

/// The rung of lowest loss in each row that has samples: where compute was spent best.
std::vector<const Rung*> along_the_frontier(const std::vector<const Rung*>& all) {
  std::map<double, const Rung*> best;
  for (const Rung* rung : all) {
    if (!rung->row || !rung->loss) continue;
    const Rung*& now = best[*rung->row];
    if (now == nullptr || *rung->loss < *now->loss) now = rung;
  }
  std::vector<const Rung*> rungs;
  for (const auto& [row, rung] : best) rungs.push_back(rung);
  std::stable_sort(rungs.begin(), rungs.end(), [](const Rung* a, const Rung* b) {
    return a->flops.value_or(0) < b->flops.value_or(0);
  });
  return rungs.empty() ? all : rungs;
}

std::optional<Rung> next_rung(const Climb& climb) {
  const auto sample = sample_at(climb.document, {"next", "outcome", "sample"});
  const auto loss = size_at(climb.document, {"next", "outcome", "val_loss"});
  if (!sample && !loss) return std::nullopt;
  return Rung{.name = std::string(
                  cut(store::text_at(climb.document, {"next", "name"}).value_or("next"), 120)),
              .params = size_at(climb.document, {"next", "params"}, 1),
              .tokens = size_at(climb.document, {"next", "tokens"}, 1),
              .flops = size_at(climb.document, {"next", "flops"}, 1),
              .seconds = size_at(climb.document, {"next", "outcome", "seconds"}, 0),
              .loss = loss,
              .bpb = size_at(climb.document, {"next", "outcome", "val_bpb"}),
              .sample = sample};
}

std::string rung_row(const Rung& rung, std::string_view kind, std::string_view note) {
  const auto residual = rung.loss && rung.law && *rung.law > 0
                            ? fmt::format("{:+.2f} %", 100 * (*rung.loss / *rung.law - 1))
                            : "";
  return fmt::format(
      "<tr{}><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
      "<td>{}</td><td>{}</td></tr>\n",
      kind, escape(rung.name), note, count_or_empty(rung.params), count_or_empty(rung.tokens),
      count_or_empty(rung.flops), duration_or_empty(rung.seconds), fixed(rung.loss, 4),
      fixed(rung.bpb, 4), fixed(rung.law, 4), residual);
}

struct Cost {
  std::optional<double> seconds = {}, flops = {}, price = {};
};

/// The sum of a field over a list of the document, or of `other` where an element lacks it; nothing
/// when no element has either.
std::optional<double> sum_at(const json& document, std::initializer_list<const char*> list,
                             std::string_view field, std::string_view other = {}) {
  const json* node = &document;
  for (const char* key : list) {
    if (!node->is_object() || !node->contains(key)) return std::nullopt;
    node = &(*node)[key];
  }
  if (!node->is_array()) return std::nullopt;
  std::optional<double> sum;
  for (const json& one : *node) {
    auto value = size_at(one, {field}, 0);
    if (!value && !other.empty()) value = size_at(one, {other}, 0);
    if (value) sum = sum.value_or(0) + *value;
  }
  return sum;
}

std::string cost_row(std::string_view name, const Cost& planned, const Cost& measured,
                     bool priced) {
  const auto cells = [](std::optional<double> a, std::optional<double> b,
                        std::string (*text)(double)) {
    return fmt::format("<td>{}</td><td>{}</td>", a ? text(*a) : "", b ? text(*b) : "");
  };
  std::string html = fmt::format("<tr><td>{}</td>", name);
  html += cells(planned.seconds, measured.seconds, duration_text);
  html += "<td>" + difference(planned.seconds, measured.seconds) + "</td>";
  html += cells(planned.flops, measured.flops, count_text);
  if (priced) html += cells(planned.price, measured.price, money_text);
  return html + "</tr>\n";
}

}  // namespace

std::string climb_samples(const Climb& climb) {
  std::vector<const Rung*> all;
  for (const Rung& rung : climb.rungs) {
    if (rung.sample) all.push_back(&rung);
  }
  const auto next = next_rung(climb);
  const bool has_next = next && next->sample;
  if (all.empty() && !has_next) return "";
  const std::string prompt = all.empty() ? next->sample->prompt : all.front()->sample->prompt;
  const bool alike =
      std::all_of(all.begin(), all.end(),
                  [&](const Rung* rung) { return rung->sample->prompt == prompt; }) &&
      (!has_next || next->sample->prompt == prompt);
  std::string html =
      "<h2>Watch it learn to write</h2>\n<p>What the models wrote, from the least "
      "compute to the most, drawn at random from their own probabilities";
  html += alike && !prompt.empty() ? ". All go on from these words: <i>" +
                                         escape(cut(prompt, kSampleBytes)) + "</i></p>\n"
                                   : ", in answer to the words in grey.</p>\n";
  const bool with_prompt = !alike;
  const std::vector<const Rung*> path = along_the_frontier(all);
  std::vector<const Rung*> chosen;
  for (const std::size_t i : spread(path.size(), kChosenSamples)) chosen.push_back(path[i]);
  html += "<div class=\"cards\">\n";
  for (const Rung* rung : chosen) html += card(*rung, "", with_prompt, kSampleBytes);
  if (has_next) {
    html += card(*next, " class=\"next\"", with_prompt,
                 chosen.size() % 3 == 2 ? kSampleBytes : kNextSampleBytes);
  }
  html += "</div>\n";
  if (all.size() <= chosen.size()) return html;
  html += fmt::format("<details><summary>The other {} rungs</summary>\n<div class=\"cards\">\n",
                      all.size() - chosen.size());
  std::size_t n_shown = 0;
  for (const Rung* rung : all) {
    if (std::find(chosen.begin(), chosen.end(), rung) != chosen.end()) continue;
    if (++n_shown > kMaxSamples) break;
    html += card(*rung, "", with_prompt, kSampleBytes);
  }
  html += "</div>\n";
  if (n_shown > kMaxSamples) {
    html += fmt::format("<p class=\"note\">{} more are in climb.json.</p>\n",
                        all.size() - chosen.size() - kMaxSamples);
  }
  return html + "</details>\n";
}

std::string climb_rungs(const Climb& climb) {
  const auto next = next_rung(climb);
  if (climb.rungs.empty() && !next) return "";
  std::string html =
      "<h2>The rungs</h2>\n<p>Every model that was trained, by compute. The law&rsquo;s value is "
      "what "
      "the fitted law says of a rung that it was fitted to; the residual is how far the measured "
      "loss "
      "lies from it.</p>\n<div class=\"scroll\"><table class=\"rungs\">\n<tr><th></th>"
      "<th>parameters</th><th>tokens</th><th>FLOPs</th><th>time</th><th>loss</th>"
      "<th>bits per byte</th><th>law</th><th>residual</th></tr>\n";
  for (std::size_t i = 0; i < std::min(climb.rungs.size(), kMaxRows); ++i) {
    const Rung& rung = climb.rungs[i];
    const bool out = !rung.excluded.empty();
    html += rung_row(rung, out ? " class=\"out\"" : "",
                     out ? "<small>left out: " + escape(rung.excluded) + "</small>" : "");
  }
  if (next) {
    Rung row = *next;
    row.law = size_at(climb.document, {"next", "forecast", "median"});
    html += rung_row(row, " class=\"this\"", "<small>predicted, not fitted</small>");
  }
  html += "</table></div>\n";
  const std::size_t n = climb.rungs.size() + climb.n_left_out;
  if (n > kMaxRows) {
    html += fmt::format("<p class=\"note\">{} more are in climb.json.</p>\n", n - kMaxRows);
  }
  if (const auto deviation = size_at(climb.document, {"seed_deviation_percent"}, 0)) {
    html += fmt::format(
        "<p>The same model with another seed differs by {:.2g} % (standard deviation): no forecast "
        "can be surer than that.</p>\n",
        *deviation);
  }
  return html;
}

std::string climb_cost(const Climb& climb) {
  const json& d = climb.document;
  const double hour = size_at(d, {"plan", "price_per_hour"}, 0).value_or(0);
  const auto price = [&](Cost cost) {
    if (!cost.price && cost.seconds && hour > 0) cost.price = *cost.seconds / 3600 * hour;
    return cost;
  };
  const Cost ladder_plan = price({.seconds = sum_at(d, {"plan", "rungs"}, "seconds"),
                                  .flops = sum_at(d, {"plan", "rungs"}, "own_flops", "flops")});
  const Cost ladder = price({.seconds = sum_at(d, {"rungs"}, "seconds"),
                             .flops = sum_at(d, {"rungs"}, "own_flops", "flops")});
  auto next_flops = size_at(d, {"plan", "next_flops"}, 0);
  if (!next_flops) next_flops = size_at(d, {"next", "flops"}, 0);
  const Cost next_plan =
      price({.seconds = size_at(d, {"next", "seconds"}, 0), .flops = next_flops});
  const auto ran = size_at(d, {"next", "outcome", "seconds"}, 0);
  const Cost next = price({.seconds = ran, .flops = ran ? size_at(d, {"next", "flops"}, 0) : ran});
  const Cost all_plan = price(
      {.seconds = size_at(d, {"plan", "seconds"}, 0), .flops = size_at(d, {"plan", "flops"}, 0)});
  const Cost all = price({.seconds = size_at(d, {"totals", "seconds"}, 0),
                          .flops = size_at(d, {"totals", "flops"}, 0),
                          .price = hour > 0 ? size_at(d, {"totals", "price"}, 0) : std::nullopt});
  std::string rows;
  const auto add = [&](std::string_view name, const Cost& planned, const Cost& measured) {
    const bool known = planned.seconds || planned.flops || measured.seconds || measured.flops;
    if (known) rows += cost_row(name, planned, measured, hour > 0);
  };
  add("The ladder", ladder_plan, ladder);
  add("The next rung", next_plan, next);
  add("All", all_plan, all);
  if (rows.empty()) return "";
  return fmt::format(
      "<h2>Time{} and compute</h2>\n<p>What was said before the start, and what came of it{}.</p>\n"
      "<div class=\"scroll\"><table>\n<tr><th></th><th>time planned</th><th>measured</th>"
      "<th>difference</th><th>FLOPs planned</th><th>measured</th>{}</tr>\n{}</table></div>\n",
      hour > 0 ? ", money" : "", hour > 0 ? fmt::format(", at {} an hour", money_text(hour)) : "",
      hour > 0 ? "<th>money planned</th><th>measured</th>" : "", rows);
}

}  // namespace belay::report
