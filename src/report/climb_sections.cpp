#include "report/climb_sections.h"

#include <fmt/core.h>

#include <array>
#include <cmath>

#include "base/units.h"
#include "report/html.h"
#include "report/parts.h"
#include "store/run_record.h"

namespace belay::report {
namespace {

using base::count_text;
using nlohmann::json;
using store::text_at;

std::string_view compute_section() {
  return R"(<h2>Loss against compute</h2>
<p>Each point is a model. Further right cost more to train, further down predicts unseen text
better. The line is the lowest loss that the fitted law expects for that much compute, with the
best choice of size; where it is dashed, nothing was measured.</p>
<figure>
<div class="key" id="compute-key"></div>
<div class="canvas">
<canvas id="compute" role="img" aria-label="Loss of each rung against its compute, the fitted law,
and the interval predicted for the next rung; the numbers are in the table of rungs"></canvas>
</div>
</figure>
)";
}

std::string_view shape_section() {
  return R"(<h2>How large, and for how long</h2>
<p>The same compute trains a large model on few tokens or a small one on many. Both sides of the
choice, with the lines of one law, L(N, D) = E + A/N<sup>&alpha;</sup> + B/D<sup>&beta;</sup>.</p>
<div class="pair">
<figure><h3>Equal compute, other sizes</h3><figcaption>Each curve spends one amount of compute; its
lowest point (&#9671;) is the best size for it.</figcaption>
<div class="key" id="sizes-key"></div>
<div class="canvas"><canvas id="sizes" role="img" aria-label="Loss against parameters, a curve for
each amount of compute"></canvas></div>
</figure>
<figure><h3>One size, more tokens</h3><figcaption>Each line is a size of model: it falls, and
flattens where the model is too small.</figcaption>
<div class="key" id="tokens-key"></div>
<div class="canvas"><canvas id="tokens" role="img" aria-label="Loss against tokens, a line for
each size of model"></canvas></div>
</figure>
</div>
)";
}

std::string interval_cell(const json& document, const char* name) {
  const auto low = size_at(document, {"fit", name, "low"}, 0);
  const auto high = size_at(document, {"fit", name, "high"}, 0);
  return low && high ? fmt::format("{:.4g} to {:.4g}", *low, *high) : "";
}

std::string law_table(const json& document) {
  struct Row {
    const char *key, *name, *words;
  };
  constexpr std::array<Row, 6> kRows = {{
      {"E", "E", "What no model of this kind gets below, on this text"},
      {"A", "A", "How much too few parameters cost"},
      {"alpha", "&alpha;", "How fast that falls with parameters"},
      {"B", "B", "How much too few tokens cost"},
      {"beta", "&beta;", "How fast that falls with tokens"},
      {"a", "a", "The best number of parameters grows like compute to this power"},
  }};
  std::string rows;
  for (const Row& row : kRows) {
    const auto value = size_at(document, {"fit", row.key, "value"}, 0);
    if (!value) continue;
    rows +=
        fmt::format("<tr><td>{}</td><td>{:.4g}</td><td>{}</td><td class=\"words\">{}</td></tr>\n",
                    row.name, *value, interval_cell(document, row.key), row.words);
  }
  if (const auto r_star = size_at(document, {"fit", "r_star"})) {
    rows += fmt::format(
        "<tr><td>r*</td><td>{:.4g}</td><td></td><td class=\"words\">How many repetitions of the "
        "text "
        "teach like new text, in the end</td></tr>\n",
        *r_star);
  }
  if (rows.empty()) return "";
  const auto n_points = size_at(document, {"fit", "n_points"}, 0);
  return fmt::format(
      "<details><summary>The numbers of the law{}</summary>\n<div class=\"scroll\"><table "
      "class=\"law\">\n<tr><th></th><th>fitted</th><th>interval</th><th></th></tr>\n{}</table></"
      "div>"
      "</details>\n",
      n_points ? fmt::format(", fitted to {:.0f} rungs", *n_points) : "", rows);
}

std::string score_row(std::string_view name, std::optional<double> a, std::optional<double> b) {
  return fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", name, fixed(a, 4),
                     fixed(b, 4));
}

std::string scores_table(const json& d) {
  const auto held = [&](const char* name) { return size_at(d, {"fit", "held_out", name}, 0); };
  const auto next = [&](const char* name) { return size_at(d, {"next", "outcome", name}, 0); };
  if (!held("crps") && !next("crps")) return "";
  return "<div class=\"scroll\"><table class=\"scores\">\n<tr><th>CRPS, nats a token</th>"
         "<th>inside the ladder</th><th>the next rung</th></tr>\n" +
         score_row("the forecast (inside the ladder the law&rsquo;s alone)", held("crps"),
                   next("crps")) +
         score_row("no change: the loss of the largest rung", held("crps_no_change"),
                   next("crps_no_change")) +
         score_row("straight line through log loss and log compute", held("crps_straight_line"),
                   next("crps_straight_line")) +
         "</table></div>\n<p class=\"note\">CRPS is how far a forecast was off, with its interval "
         "counted: a wide one costs too. Lower is better.</p>\n";
}

std::string held_out_words(const json& d) {
  const auto n = size_at(d, {"fit", "held_out", "n"}, 1);
  const auto error = size_at(d, {"fit", "held_out", "median_error_percent"}, 0);
  const auto coverage = size_at(d, {"fit", "held_out", "coverage_80"}, 0);
  if (!n || !error) return "";
  std::string html = fmt::format(
      "<p>Inside the ladder the larger rungs were forecast from the smaller ones alone, {:.0f} "
      "times. "
      "Half of these forecasts were within {:.2g} % of what had been measured",
      *n, *error);
  if (coverage && *coverage <= 1) {
    html += fmt::format(", and {:.0f} % of what had been measured lay inside the 80 % interval{}",
                        100 * *coverage,
                        *coverage < 0.65 ? ": too few, the intervals are too narrow" : "");
  }
  const auto ours = size_at(d, {"fit", "held_out", "crps"}, 0);
  for (const auto& [key, name] : {std::pair{"crps_no_change", "no change"},
                                  std::pair{"crps_straight_line", "straight line"}}) {
    const auto theirs = size_at(d, {"fit", "held_out", key}, 0);
    if (ours && theirs && *theirs < *ours) {
      html += fmt::format(". <b>&ldquo;{}&rdquo; did better there</b>", name);
    }
  }
  return html + ".</p>\n";
}

/// What the forecast of the next rung was made of.
std::string parts_words(const json& d) {
  const auto part = [&](const char* name, const char* field) {
    return size_at(d, {"next", "forecast", "parts", name, field}, 0);
  };
  const auto law = part("law", "median"), rows = part("best_of_rows", "median");
  const auto weight = part("law", "weight");
  if (!law || !rows || !weight || *weight > 1) return "";
  return fmt::format(
      "<p>The forecast of the next rung weighs two: the law says {:.3f} (weight {:.2f}); how the "
      "lowest loss fell from one amount of compute to the next says {:.3f} (weight {:.2f}). Each "
      "weighs by how sure it is.</p>\n",
      *law, *weight, *rows, 1 - *weight);
}

std::string register_words(const json& d) {
  const auto id = text_at(d, {"next", "forecast", "id"});
  const std::string made = utc_text(size_at(d, {"next", "forecast", "made"}));
  const auto head = text_at(d, {"next", "forecast", "head"});
  if (!id && made.empty()) return "";
  std::string html = "<p>The forecast of the next rung was written to the register";
  if (!made.empty()) html += " at " + made;
  html +=
      ", before the run. Each line of the register seals the lines before it, so none can be "
      "changed unnoticed; who noted the hash below at that time can tell.</p>\n"
      "<dl class=\"facts\">\n";
  if (id) html += "<dt>Forecast</dt><dd><code>" + escape(cut(*id, 100)) + "</code></dd>\n";
  if (head)
    html += "<dt>Register, SHA-256</dt><dd><code>" + escape(cut(*head, 100)) + "</code></dd>\n";
  return html + "</dl>\n";
}

std::string_view words_section() {
  return R"(<h2>The words</h2>
<dl class="words">
<div><dt>Loss, nats a token</dt><dd>How surprised a model is by the next token of text that was
kept apart: the mean of &minus;ln p, where p is the probability that it gave that token. Lower is
better.</dd></div>
<div><dt>Bits per byte</dt><dd>The same surprise for each byte of the raw text, so that models with
other tokenizers can be compared. Guessing costs 8.</dd></div>
<div><dt>Token</dt><dd>What a model reads and predicts one at a time: a byte, or a piece of
text.</dd></div>
<div><dt>Parameter</dt><dd>A number in the model that training sets. More of them can hold
more.</dd></div>
<div><dt>FLOP, compute</dt><dd>One multiplication or addition. Training costs about six for each
parameter and token.</dd></div>
<div><dt>Rung, ladder</dt><dd>A small model that is trained to learn how loss falls; all of them,
over sizes and amounts of compute.</dd></div>
<div><dt>80 % interval</dt><dd>A range that should hold what comes four times in five. If it always
does, it is too wide.</dd></div>
<div><dt>IsoFLOP</dt><dd>Models of other sizes that all cost the same compute: the larger, the
fewer tokens.</dd></div>
</dl>
)";
}

}  // namespace

std::string climb_beyond(const Climb& climb) {
  const json& d = climb.document;
  const auto flops = size_at(d, {"beyond", "flops"}, 1), median = size_at(d, {"beyond", "median"});
  if (!flops || !median) return law_table(d);
  const auto low = size_at(d, {"beyond", "low80"}), high = size_at(d, {"beyond", "high80"});
  const auto params = size_at(d, {"beyond", "params"}, 1),
             tokens = size_at(d, {"beyond", "tokens"}, 1);
  const auto bpb = size_at(d, {"beyond", "val_bpb_median"});
  const auto measured = size_at(d, {"next", "outcome", "val_loss"});
  std::string html = fmt::format(
      "<h2>What ten times the compute would bring</h2>\n<p>With {} FLOPs the law expects "
      "<b>{:.3f}</b> nats a token",
      count_text(*flops), *median);
  if (bpb) html += fmt::format(" ({:.3f} bits per byte)", *bpb);
  if (low && high) html += fmt::format(", and is 80 % sure of {:.3f} to {:.3f}", *low, *high);
  if (measured) {
    html += fmt::format("; the next rung measured {:.3f}, {:.1f} % {}", *measured,
                        100 * std::fabs(*measured / *median - 1),
                        *measured >= *median ? "more" : "less");
  }
  html += ".";
  if (params && tokens) {
    html += fmt::format(" The best way to spend it is a model of {} parameters on {} tokens.",
                        count_text(*params), count_text(*tokens));
    const auto unique = size_at(d, {"data", "train", "tokens"}, 1);
    if (unique && *tokens > 1.5 * *unique) {
      html += fmt::format(" The text has {}: it would be read {:.1f} times.", count_text(*unique),
                          *tokens / *unique);
    }
  }
  const auto seconds = size_at(d, {"next", "outcome", "seconds"}, 1e-3);
  const auto next_flops = size_at(d, {"next", "flops"}, 1);
  if (seconds && next_flops) {
    html += fmt::format(" At the measured speed this takes {}.",
                        base::duration_text(*seconds * (*flops / *next_flops)));
  }
  html +=
      "</p>\n<p>That is a forecast over a factor that nothing here was tested on: the interval "
      "covers the scatter of the rungs and how well they pin the law down, not a law that bends "
      "further out.</p>\n";
  return html + law_table(d);
}

std::string climb_trust(const Climb& climb) {
  const json& d = climb.document;
  const std::string html = held_out_words(d) + scores_table(d) + parts_words(d) + register_words(d);
  return html.empty() ? "" : "<h2>How good such forecasts were so far</h2>\n" + html;
}

std::string climb_sections(const Climb& climb, double now) {
  std::string html = climb_header(climb) + climb_strip(climb) + climb_figures(climb);
  const bool drawn = std::any_of(climb.rungs.begin(), climb.rungs.end(),
                                 [](const Rung& rung) { return rung.loss && rung.flops; });
  if (drawn) {
    html += compute_section();
    html += shape_section();
  }
  html += climb_samples(climb) + climb_rungs(climb) + climb_cost(climb) + climb_beyond(climb) +
          climb_trust(climb);
  html += words_section();
  html += facts_section(climb.document, "What this climb is");
  return html + footer(climb.document, now);
}

}  // namespace belay::report
